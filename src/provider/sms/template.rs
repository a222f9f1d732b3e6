//! A request with slots: what is put in is encoded for where it stands, so that no text ever becomes part of the request's own grammar.

use reqwest::Method as Verb;
use reqwest::Url;
use reqwest::header::CONTENT_TYPE;
use reqwest::header::HeaderMap;
use reqwest::header::HeaderName;
use reqwest::header::HeaderValue;
use serde_json::Value;

use super::super::http::Request;
use super::super::http::escaped;

/// A request as it is written down.
#[derive(Clone, Debug)]
pub struct Sketch<'a> {
    /// `GET`, `POST` or `PUT`.
    pub method: &'a str,
    /// From `https://` on.
    pub url: &'a str,
    /// Names and values.
    pub headers: &'a [(&'a str, &'a str)],
    /// What the body is, and the body.
    pub body: Option<(Format, &'a str)>,
}

/// What a body is: how slots in it are filled, and its Content-Type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `a=b&c=d`, already percent-encoded but for the slots.
    Form,
    /// JSON; slots stand in its strings.
    Json,
    /// Text.
    Plain,
}

/// A request whose slots are known and stand where they may.
#[derive(Clone, Debug)]
pub struct Template {
    method: Verb,
    base: String,
    target: Pieces,
    headers: Vec<(HeaderName, Pieces)>,
    body: Option<Body>,
}

/// What goes into the slots.
#[derive(Clone, Copy)]
pub(super) struct Values<'a> {
    /// `{phone}`: E.164, digits behind a `+`; `{number}`: the same without it.
    pub(super) phone: &'a str,
    /// `{code}`: digits.
    pub(super) code: &'a str,
    /// `{text}`
    pub(super) text: &'a str,
    /// `{key}`
    pub(super) key: &'a str,
}

/// What is wrong with a sketch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// The body is not what its format says.
    #[error("body: {0}")]
    Body(String),
    /// A header's name or value.
    #[error("headers: {0}")]
    Header(String),
    /// No telephone number, or no code, goes out.
    #[error("the request carries no {0}")]
    Missing(&'static str),
    /// Braces around a word that is no slot.
    #[error("{0:?} is no slot: there are {{phone}}, {{number}}, {{code}}, {{text}} and {{key}}")]
    Slot(String),
    /// The URL, or a slot where none may be.
    #[error("url: {0}")]
    Url(&'static str),
}

#[derive(Clone, Debug)]
enum Body {
    Form(Pieces),
    Json(Value),
    Plain(Pieces),
}

#[derive(Clone, Debug, Default)]
struct Pieces(Vec<Piece>);

#[derive(Clone, Debug)]
enum Piece {
    Literal(String),
    Slot(Slot),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    Code,
    Key,
    Number,
    Phone,
    Text,
}

impl Template {
    /// A sketch whose every slot may stand where it stands.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(sketch: &Sketch<'_>) -> Result<Self, TemplateError> {
        let method = Verb::from_bytes(sketch.method.as_bytes()).map_err(|_| TemplateError::Url("the method is none"))?;
        let (base, target) = url(sketch.url)?;
        let headers = sketch.headers.iter().map(|(name, value)| header(name, value)).collect::<Result<_, _>>()?;
        let body = sketch.body.map(|(format, text)| body(format, text)).transpose()?;
        let template = Self { method, base, target, headers, body };
        let slots = template.slots();
        if !slots.contains(&Slot::Phone) && !slots.contains(&Slot::Number) {
            return Err(TemplateError::Missing("{phone} or {number}"));
        }
        if !slots.contains(&Slot::Code) && !slots.contains(&Slot::Text) {
            return Err(TemplateError::Missing("{text} or {code}"));
        }
        Ok(template)
    }

    /// The server: `https://host:port`.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Whether `{key}` stands somewhere.
    #[must_use]
    pub fn wants_key(&self) -> bool {
        self.slots().contains(&Slot::Key)
    }

    /// The request with its slots filled; `None` for what no header can hold.
    pub(super) fn request(&self, values: &Values<'_>) -> Option<Request> {
        let mut headers = HeaderMap::new();
        let body = self.body.as_ref().map(|body| body.filled(values));
        if let Some((kind, _)) = &body {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        for (name, pieces) in &self.headers {
            let mut value = HeaderValue::try_from(pieces.filled(values, str::to_owned)).ok()?;
            value.set_sensitive(true);
            headers.insert(name.clone(), value);
        }
        Some(Request { method: self.method.clone(), target: self.target.filled(values, escaped), headers, body: body.map(|(_, body)| body), poll: None })
    }

    fn slots(&self) -> Vec<Slot> {
        let mut slots = self.target.slots();
        slots.extend(self.headers.iter().flat_map(|(_, pieces)| pieces.slots()));
        match &self.body {
            Some(Body::Form(pieces) | Body::Plain(pieces)) => slots.extend(pieces.slots()),
            Some(Body::Json(value)) => strings(value, &mut |text| slots.extend(Pieces::read(text).unwrap_or_default().slots())),
            None => {}
        }
        slots
    }
}

impl Body {
    /// The Content-Type and the bytes.
    fn filled(&self, values: &Values<'_>) -> (&'static str, Vec<u8>) {
        match self {
            Self::Form(pieces) => ("application/x-www-form-urlencoded", pieces.filled(values, escaped).into_bytes()),
            // Values become part of strings before those are written: quotes in them are escaped like any other.
            Self::Json(value) => ("application/json", json(value, values).to_string().into_bytes()),
            Self::Plain(pieces) => ("text/plain; charset=utf-8", pieces.filled(values, one_line).into_bytes()),
        }
    }
}

impl Pieces {
    fn read(text: &str) -> Result<Self, TemplateError> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once('{') {
            let (word, after) = behind.split_once('}').ok_or_else(|| TemplateError::Slot(format!("{{{behind}")))?;
            pieces.push(Piece::Literal(before.to_owned()));
            pieces.push(Piece::Slot(Slot::of(word).ok_or_else(|| TemplateError::Slot(format!("{{{word}}}")))?));
            rest = after;
        }
        pieces.push(Piece::Literal(rest.to_owned()));
        Ok(Self(pieces))
    }

    fn filled(&self, values: &Values<'_>, encode: impl Fn(&str) -> String) -> String {
        self.0.iter().fold(String::new(), |mut out, piece| {
            match piece {
                Piece::Literal(text) => out.push_str(text),
                Piece::Slot(slot) => out.push_str(&encode(slot.value(values))),
            }
            out
        })
    }

    fn slots(&self) -> Vec<Slot> {
        self.0.iter().filter_map(|piece| if let Piece::Slot(slot) = piece { Some(*slot) } else { None }).collect()
    }
}

impl Slot {
    fn of(word: &str) -> Option<Self> {
        let words = [("code", Self::Code), ("key", Self::Key), ("number", Self::Number), ("phone", Self::Phone), ("text", Self::Text)];
        words.into_iter().find(|(known, _)| *known == word).map(|(_, slot)| slot)
    }

    fn value<'v>(self, values: &Values<'v>) -> &'v str {
        match self {
            Self::Code => values.code,
            Self::Key => values.key,
            Self::Number => values.phone.trim_start_matches('+'),
            Self::Phone => values.phone,
            Self::Text => values.text,
        }
    }
}

/// The server, where nothing is filled in, and path and query, where texts stand in the query alone: in a path `..` would climb.
fn url(text: &str) -> Result<(String, Pieces), TemplateError> {
    let at = text.find("://").map(|at| at.saturating_add(3)).ok_or(TemplateError::Url("write https://"))?;
    let end = text.get(at..).and_then(|rest| rest.find(['/', '?', '#'])).map_or(text.len(), |end| end.saturating_add(at));
    let (base, target) = text.split_at_checked(end).ok_or(TemplateError::Url("is none"))?;
    if base.contains(['{', '}', '@']) {
        return Err(TemplateError::Url("no slot and no user may stand in the server's name"));
    }
    let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
    let parsed = Url::parse(&format!("{base}{target}")).map_err(|_| TemplateError::Url("is none"))?;
    if parsed.fragment().is_some() || !target.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(TemplateError::Url("holds what no URL may: percent-encode it"));
    }
    let (path, _) = target.split_once('?').unwrap_or((&target, ""));
    if Pieces::read(path)?.slots().contains(&Slot::Text) {
        return Err(TemplateError::Url("{text} may stand behind the `?` alone"));
    }
    Ok((base.to_owned(), Pieces::read(&target)?))
}

fn header(name: &str, value: &str) -> Result<(HeaderName, Pieces), TemplateError> {
    let wrong = |why: &str| TemplateError::Header(format!("{name}: {why}"));
    let header = HeaderName::try_from(name).map_err(|_| wrong("is no name of a header"))?;
    if [CONTENT_TYPE, reqwest::header::CONTENT_LENGTH, reqwest::header::HOST, reqwest::header::TRANSFER_ENCODING].contains(&header) {
        return Err(wrong("is ours to write"));
    }
    let pieces = Pieces::read(value)?;
    if pieces.slots().contains(&Slot::Text) {
        return Err(wrong("{text} may not stand in a header"));
    }
    HeaderValue::try_from(value).map_err(|_| wrong("holds what no header may"))?;
    Ok((header, pieces))
}

fn body(format: Format, text: &str) -> Result<Body, TemplateError> {
    match format {
        Format::Form => Pieces::read(text).map(Body::Form),
        Format::Json => {
            let value: Value = serde_json::from_str(text).map_err(|error| TemplateError::Body(format!("is no JSON ({error}); slots stand between quotes")))?;
            let mut wrong = None;
            strings(&value, &mut |text| wrong = wrong.take().or_else(|| Pieces::read(text).err()));
            wrong.map_or(Ok(Body::Json(value)), Err)
        }
        Format::Plain => Pieces::read(text).map(Body::Plain),
    }
}

/// Every string that is a value.
fn strings(value: &Value, look: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => look(text),
        Value::Array(values) => values.iter().for_each(|value| strings(value, look)),
        Value::Object(fields) => fields.values().for_each(|value| strings(value, look)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn json(value: &Value, values: &Values<'_>) -> Value {
    match value {
        // What cannot be read was refused when the template was made.
        Value::String(text) => Value::String(Pieces::read(text).map_or_else(|_| text.clone(), |pieces| pieces.filled(values, str::to_owned))),
        Value::Array(entries) => Value::Array(entries.iter().map(|value| json(value, values)).collect()),
        Value::Object(fields) => Value::Object(fields.iter().map(|(name, value)| (name.clone(), json(value, values))).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// A value never begins a line of its own.
fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests;
