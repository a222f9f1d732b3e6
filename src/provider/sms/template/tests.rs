//! What is filled in stays what it is.

use super::*;

const EVIL: &str = "a\"},\"to\":\"+1900\r\nX-To: +1900&to=+1900#{phone}%2B/../?";
const VALUES: Values<'_> = Values { phone: "+4917012345678", code: "012345", text: EVIL, key: "k:1/=+" };

fn sketch<'a>(url: &'a str, headers: &'a [(&'a str, &'a str)], body: Option<(Format, &'a str)>) -> Sketch<'a> {
    Sketch { method: "POST", url, headers, body }
}

fn made(url: &str, headers: &[(&str, &str)], body: Option<(Format, &str)>) -> Request {
    Template::new(&sketch(url, headers, body)).unwrap().request(&VALUES).unwrap()
}

fn wrong(url: &str, headers: &[(&str, &str)], body: Option<(Format, &str)>) -> String {
    Template::new(&sketch(url, headers, body)).unwrap_err().to_string()
}

fn body(request: Request) -> String {
    String::from_utf8(request.body.unwrap()).unwrap()
}

#[test]
fn m_28_in_a_url_a_text_is_one_value() {
    let request = made("https://sms.example:8443/v1/{number}/send?to={phone}&t={text}&k={key}", &[], None);
    assert!(request.target.starts_with("/v1/4917012345678/send?to=%2B4917012345678&t=a%22%7D%2C"), "{}", request.target);
    let url = Url::parse(&format!("https://sms.example{}", request.target)).unwrap();
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let want = [("to", VALUES.phone), ("t", EVIL), ("k", VALUES.key)].map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(pairs, want);
    assert_eq!(url.fragment(), None);
}

#[test]
fn m_28_in_json_a_text_is_one_string() {
    let told = body(made("https://sms.example/", &[], Some((Format::Json, r#"{"to":["{phone}"],"n":1,"text":"Hi: {text}!","x":{"c":"{code}"}}"#))));
    let read: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(read, serde_json::json!({"to": [VALUES.phone], "n": 1, "text": format!("Hi: {EVIL}!"), "x": {"c": "012345"}}));
}

#[test]
fn m_28_in_a_form_a_text_is_one_field() {
    let told = body(made("https://sms.example/", &[], Some((Format::Form, "to={phone}&text={text}&from=A%20B"))));
    let fields: Vec<(String, String)> = Url::parse(&format!("http://form/?{told}")).unwrap().query_pairs().into_owned().collect();
    let want = [("to", VALUES.phone), ("text", EVIL), ("from", "A B")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(fields, want);
}

#[test]
fn m_28_in_plain_text_a_text_is_one_line() {
    let told = body(made("https://sms.example/", &[], Some((Format::Plain, "{phone}\n{text}"))));
    assert_eq!(told.lines().count(), 2, "{told:?}");
}

#[test]
fn a_header_takes_a_key_and_no_line() {
    let body = Some((Format::Plain, "{phone} {code}"));
    let request = made("https://sms.example", &[("Authorization", "Bearer {key}"), ("X-To", "{phone}")], body);
    let sent = ["authorization", "x-to"].map(|name| request.headers[name].to_str().unwrap());
    assert_eq!((request.target.as_str(), sent), ("/", ["Bearer k:1/=+", VALUES.phone]));
    let template = Template::new(&sketch("https://sms.example", &[("Authorization", "{key}")], body)).unwrap();
    assert!(template.request(&Values { key: "a\r\nX-To: +1900", ..VALUES }).is_none());
    assert!(template.wants_key() && template.base() == "https://sms.example");
}

#[test]
fn what_stands_where_it_may_not_is_refused_by_name() {
    let fine = Some((Format::Plain, "{phone} {code}"));
    for (told, part) in [
        (wrong("https://{text}.example/", &[], fine), "server's name"),
        (wrong("https://me@sms.example/", &[], fine), "server's name"),
        (wrong("https://sms.example/{text}", &[], fine), "behind the `?`"),
        (wrong("https://sms.example/#{code}", &[], fine), "percent-encode"),
        (wrong("sms.example", &[], fine), "https://"),
        (wrong("https://sms.example/", &[("X-A", "{text}")], fine), "may not stand in a header"),
        (wrong("https://sms.example/", &[("Host", "x")], fine), "ours to write"),
        (wrong("https://sms.example/", &[("Content-Type", "x")], fine), "ours to write"),
        (wrong("https://sms.example/", &[("a b", "x")], fine), "no name of a header"),
        (wrong("https://sms.example/", &[], Some((Format::Json, r#"{"to":{phone},"c":"{code}"}"#))), "between quotes"),
        (wrong("https://sms.example/", &[], Some((Format::Json, r#"{"to":"{phon}"}"#))), "\"{phon}\" is no slot"),
        (wrong("https://sms.example/", &[], Some((Format::Form, "to={phone&c={code}"))), "no slot"),
        (wrong("https://sms.example/", &[], Some((Format::Form, "to={phone}"))), "carries no {text} or {code}"),
        (wrong("https://sms.example/?c={code}", &[], None), "carries no {phone} or {number}"),
    ] {
        assert!(told.contains(part), "{told}");
    }
}
