//! The connector's XML: what little of it is written, and answers read strictly.

use std::collections::BTreeMap;

use quick_xml::Reader;
use quick_xml::escape::escape;
use quick_xml::events::BytesRef;
use quick_xml::events::Event;

/// The text of an answer's elements by their paths below the root (`Result/Value`); those without text are left out.
pub(super) type Fields = BTreeMap<String, String>;

/// `<name>text</name>`.
pub(super) fn element(name: &str, text: &str) -> String {
    format!("<{name}>{}</{name}>", escape(text))
}

/// Reads a document whose root is `root`. `None` for anything that is not well formed, has a type or instructions of its own, says an element we could
/// look at twice, or is deeper than an answer is.
pub(super) fn read(body: &[u8], root: &str) -> Option<Fields> {
    let text = std::str::from_utf8(body).ok()?;
    let mut reader = Reader::from_str(text.strip_prefix('\u{feff}').unwrap_or(text));
    let mut open = Open::default();
    loop {
        match reader.read_event().ok()? {
            Event::Decl(_) if open.path.is_empty() && !open.ended => {}
            Event::Start(tag) => open.begin(tag.name().as_ref(), root)?,
            Event::Empty(tag) => {
                open.begin(tag.name().as_ref(), root)?;
                open.end()?;
            }
            Event::End(_) => open.end()?,
            Event::Text(text) => open.text.push_str(std::str::from_utf8(&text).ok()?),
            Event::GeneralRef(entity) => open.text.push(character(&entity)?),
            Event::Eof => return (open.ended && open.path.is_empty() && open.text.trim().is_empty()).then_some(open.fields),
            Event::CData(_) | Event::Comment(_) | Event::Decl(_) | Event::DocType(_) | Event::PI(_) => return None,
        }
    }
}

/// Where the reading is.
#[derive(Default)]
struct Open {
    path: Vec<String>,
    text: String,
    fields: Fields,
    seen: std::collections::BTreeSet<String>,
    ended: bool,
}

impl Open {
    fn begin(&mut self, name: &[u8], root: &str) -> Option<()> {
        let name = std::str::from_utf8(name).ok()?;
        let first = self.path.is_empty();
        // Text beside elements is white space alone, and there is one root.
        if !self.text.trim().is_empty() || self.ended || self.path.len() >= DEPTH_MAX || (first && name != root) {
            return None;
        }
        self.text.clear();
        self.path.push(name.to_owned());
        let path = self.below_root();
        // Lists repeat themselves deeper down, where nobody looks.
        let looked_at = !first && (self.path.len() == 2 || path.starts_with("Result/"));
        (!looked_at || self.seen.insert(path)).then_some(())
    }

    fn end(&mut self) -> Option<()> {
        let text = std::mem::take(&mut self.text);
        if !text.is_empty() {
            let path = self.below_root();
            if !path.is_empty() {
                self.fields.insert(path, text);
            } else if !text.trim().is_empty() {
                return None;
            }
        }
        self.path.pop()?;
        self.ended = self.path.is_empty();
        Some(())
    }

    fn below_root(&self) -> String {
        self.path.get(1..).unwrap_or_default().join("/")
    }
}

/// The five entities that every document has, and characters by their number.
fn character(entity: &BytesRef<'_>) -> Option<char> {
    match &**entity {
        b"amp" => Some('&'),
        b"apos" => Some('\''),
        b"gt" => Some('>'),
        b"lt" => Some('<'),
        b"quot" => Some('"'),
        _ => entity.resolve_char_ref().ok().flatten(),
    }
}

const DEPTH_MAX: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    fn value(document: &str) -> Option<String> {
        read(document.as_bytes(), "R").map(|fields| fields.get("Result/Value").cloned().unwrap_or_default())
    }

    #[test]
    fn an_answer_is_read_by_its_paths() {
        let document = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<R xmlns:i=\"http://x\">\n <Version>1</Version>\n <Result>\n  <Value>Success</Value>\n  <Message i:nil=\"true\"/>\n </Result>\n <Id>a&amp;b&#43;</Id>\n</R>\n";
        let fields = read(document.as_bytes(), "R").unwrap();
        let told: Vec<_> = fields.iter().filter(|(_, text)| !text.trim().is_empty()).map(|(path, text)| format!("{path}={text}")).collect();
        assert_eq!(told, ["Id=a&b+", "Result/Value=Success", "Version=1"]);
    }

    #[test]
    fn what_is_not_exactly_one_plain_document_is_none() {
        assert_eq!(value("<R><Result><Value>Success</Value></Result></R>").as_deref(), Some("Success"));
        for bad in [
            "",
            "Success",
            "<S><Result><Value>Success</Value></Result></S>",
            "<R><Result><Value>Success</Value></Result>",
            "<R><Result><Value>Success</Result></Value></R>",
            "<R><Result><Value>Success</Value></Result></R><R/>",
            "<R><Result><Value>Success</Value></Result></R>x",
            "x<R><Result><Value>Success</Value></Result></R>",
            "<R><Result><Value>Denied</Value><Value>Success</Value></Result></R>",
            "<R><Result><Value>Denied</Value></Result><Result><Value>Success</Value></Result></R>",
            "<R><Result>x<Value>Success</Value></Result></R>",
            "<!DOCTYPE R [<!ENTITY s \"Success\">]><R><Result><Value>&s;</Value></Result></R>",
            "<R><Result><Value>&s;</Value></Result></R>",
            "<R><Result><Value><![CDATA[Success]]></Value></Result></R>",
            "<R><Result><Value>Suc<!-- -->cess</Value></Result></R>",
            "<R><?pi x?><Result><Value>Success</Value></Result></R>",
        ] {
            assert_eq!(value(bad), None, "{bad}");
        }
        assert_eq!(value(&format!("{}{}", "<R>".repeat(13), "</R>".repeat(13))), None);
        assert_eq!(read(b"<R>\xff</R>", "R"), None);
    }

    #[test]
    fn an_element_of_another_namespace_is_another_element() {
        assert_eq!(value("<R><Result><a:Value>Success</a:Value></Result></R>").as_deref(), Some(""));
        assert_eq!(value("<R><Other><Result><Value>Success</Value></Result></Other></R>").as_deref(), Some(""));
    }

    #[test]
    fn m_13_what_is_written_stays_text() {
        assert_eq!(element("A", "</A><B>&"), "<A>&lt;/A&gt;&lt;B&gt;&amp;</A>");
    }
}
