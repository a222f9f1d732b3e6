//! `[texts]`: which language is usual, and an operator's own words in place of ours.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use crate::domain::Lexicon;
use crate::domain::Texts;
use crate::domain::texts::Place;
use crate::domain::texts::Slot;
use crate::domain::texts::Unfit;

use super::problem::Problem;
use super::problem::suggestion;
use super::reader::Section;
use super::reader::Value;
use super::secret::Sources;

/// An operator's texts of one language, by their names.
type Own = BTreeMap<&'static str, String>;

/// Every language there is. What is wrong in a file of texts is told with that file's name.
pub(super) fn texts(file: &Section<'_>, sources: &Sources) -> Lexicon {
    let read = |section: &Section<'_>| {
        let own = section.find("folder").and_then(|value| folder(section, &value, sources)).unwrap_or_default();
        let language = section.find("language").and_then(|value| language(&value, &own));
        Some(lexicon(language.as_deref().unwrap_or(Lexicon::LANGUAGE), own))
    };
    file.find("texts").and_then(|value| value.table(read)).unwrap_or_default()
}

/// One that is shipped, or of which there is a file.
fn language(value: &Value<'_>, own: &BTreeMap<String, Own>) -> Option<String> {
    let text = value.text()?;
    let mut known: Vec<&str> = Lexicon::SHIPPED.iter().map(|(language, _)| *language).chain(own.keys().map(String::as_str)).collect();
    known.sort_unstable();
    known.dedup();
    if known.contains(&text) {
        return Some(text.to_owned());
    }
    let hint = suggestion(text, &known).map(|hint| format!("{hint}; of another one put its texts into `folder`, as {text}.toml"));
    value.error(&format!("there are no texts in {text:?}"), hint.as_deref());
    None
}

/// Each `LANGUAGE.toml` of the folder.
fn folder(section: &Section<'_>, value: &Value<'_>, sources: &Sources) -> Option<BTreeMap<String, Own>> {
    let folder = sources.path(value)?;
    let told = |error: io::Error| value.error(&format!("{} cannot be read: {error}", folder.display()), Some("make it, or take the line out"));
    let files = files(&folder).map_err(told).ok()?;
    let mut languages = BTreeMap::new();
    for path in files {
        let name = path.file_stem().and_then(OsStr::to_str).filter(|name| is_language(name));
        let read = match name {
            Some(name) => super::read(&path, own).map(|(own, _)| (name.to_owned(), own)),
            None => Err(vec![misnamed(&path)]),
        };
        match read {
            Ok((name, own)) => _ = languages.insert(name, own),
            Err(problems) => {
                // So that a default language whose file has mistakes is not called unknown beside them.
                languages.extend(name.map(|name| (name.to_owned(), Own::new())));
                section.adopt(problems);
            }
        }
    }
    Some(languages)
}

/// In the order of their names. Other files may lie there too.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension() == Some(OsStr::new("toml")) {
            files.push(path);
        }
        if files.len() > LANGUAGES_MAX {
            return Err(io::Error::other(format!("it has more than {LANGUAGES_MAX} files")));
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// A primary subtag of RFC 5646 in small letters.
fn is_language(name: &str) -> bool {
    (2..=8).contains(&name.len()) && name.bytes().all(|letter| letter.is_ascii_lowercase())
}

fn misnamed(path: &Path) -> Problem {
    let hint = "name it by the language alone, in small letters: de.toml; what is in it is read by people of every region";
    Problem { hint: Some(hint.to_owned()), ..Problem::of_file(&path.display().to_string(), "its name is no language".to_owned()) }
}

/// The texts of one file.
fn own(file: &Section<'_>) -> Option<Own> {
    let read = |slot: &'static Slot| {
        let value = file.find(slot.key)?;
        let text = value.text()?;
        match slot.check(text) {
            Ok(()) => Some((slot.key, text.to_owned())),
            Err(unfit) => {
                value.error(&unfit.to_string(), hint(slot, &unfit).as_deref());
                None
            }
        }
    };
    Some(Texts::SLOTS.iter().filter_map(read).collect())
}

fn hint(slot: &Slot, unfit: &Unfit) -> Option<String> {
    let places: Vec<&str> = slot.places().map(|place: &Place| place.name).collect();
    match unfit {
        Unfit::Unknown(name) if places.is_empty() => Some(format!("take {{{name}}} out: nothing is filled in here")),
        Unfit::Unknown(name) => suggestion(name, &places),
        Unfit::Lacks(name) => Some(format!("write {{{name}}} where that belongs")),
        Unfit::Brace => Some("write {name} with one of the names that this text has, or take the brace out".to_owned()),
        Unfit::Long { .. } => Some("every placeholder counts as long as it can become, and an umlaut twice".to_owned()),
        Unfit::Word => Some("write one word, like \"Push\"".to_owned()),
        Unfit::Control | Unfit::Empty => None,
    }
}

/// A language that is not ours has the usual one's texts where its file has none.
fn lexicon(language: &str, own: BTreeMap<String, Own>) -> Lexicon {
    let shipped = |language: &str| Lexicon::SHIPPED.iter().find(|(shipped, _)| *shipped == language).map(|(_, texts)| (*texts).clone());
    let mut languages = own;
    for (shipped, _) in Lexicon::SHIPPED {
        languages.entry((*shipped).to_owned()).or_default();
    }
    let usual = shipped(language).unwrap_or_else(|| Lexicon::default().usual().as_ref().clone());
    let usual = with(usual, languages.remove(language).unwrap_or_default());
    let others = languages.into_iter().map(|(other, own)| {
        let texts = with(shipped(&other).unwrap_or_else(|| usual.clone()), own);
        (other, texts)
    });
    Lexicon::new(language.to_owned(), usual.clone(), others.collect())
}

fn with(mut texts: Texts, own: Own) -> Texts {
    for (key, text) in own {
        texts.replace(key, text);
    }
    texts
}

/// More than anybody writes; who names another folder by mistake is told.
const LANGUAGES_MAX: usize = 100;
