//! What an administrator is told about the carriers of second factors.

use super::*;

use vestibule::provider::entra::Cloud;
use vestibule::provider::entra::Credential;
use vestibule::provider::login::By;

/// `SMALL` with a provider of these keys instead of Duo.
fn by(keys: &str) -> String {
    let duo =
        "[provider.duo]\nkind = \"duo\"\nhost = \"api-xxxxxxxx.duosecurity.com\"\nkey_id = \"DIXXXXXXXXXXXXXXXXXX\"\nkey = { file = \"secrets/duo-key\" }";
    with(duo, &format!("[provider.duo]\n{keys}"))
}

const OKTA: &str = "kind = \"okta\"\nhost = \"corp.okta.com\"\ntoken = { file = \"secrets/okta-token\" }";
const TWILIO: &str = "kind = \"twilio-verify\"\nservice = \"VA0123456789abcdef0123456789abcdef\"\nkey_id = \"SK0123456789abcdef0123456789abcdef\"\nkey = { file = \"secrets/twilio-key\" }\ncountries = [\"DE\"]";
const ENTRA: &str = "kind = \"entra\"\ntenant = \"0A1B2C3D-0000-1111-2222-333344445555\"\nsecret = { file = \"secrets/entra-secret\" }";

fn texts() -> impl Fn(&str) -> String {
    |keys| by(keys).replace("{ push = \"duo\" }", "{ text = \"duo\" }")
}

#[test]
fn what_is_left_out_is_the_careful_way() {
    let etc = Etc::new();
    let ProviderSettings::Okta(okta) = &etc.load(&by(OKTA)).unwrap().providers[0] else { panic!("no okta") };
    assert!(okta.number_match, "a push without a number is approved blindly (M-11)");
    assert_eq!((okta.login.by, okta.login.domain.as_deref(), okta.url.as_deref()), (By::Name, None, None));
    let ProviderSettings::Entra(entra) = &etc.load(&by(ENTRA)).unwrap().providers[0] else { panic!("no entra") };
    assert_eq!((entra.tenant.as_str(), entra.cloud, entra.login.by), ("0a1b2c3d-0000-1111-2222-333344445555", Cloud::Global, By::Name));
    assert!(matches!(entra.credential, Credential::Secret(_)));
    let ProviderSettings::TwilioVerify(twilio) = &etc.load(&texts()(TWILIO)).unwrap().providers[0] else { panic!("no twilio") };
    assert!(!twilio.whatsapp && twilio.countries.len() == 1);
}

#[test]
fn m_28_a_provider_that_texts_says_to_which_countries() {
    let etc = Etc::new();
    let without = TWILIO.replace("countries = [\"DE\"]", "");
    assert!(only(&etc.told(&texts()(&without))).contains("provider.duo.countries: is missing"));
    for bad in ["[\"Germany\"]", "[\"de\"]", "[\"XX\"]", "[\"49\"]"] {
        let told = etc.told(&texts()(&TWILIO.replace("[\"DE\"]", bad)));
        assert!(only(&told).contains("provider.duo.countries[0]"), "{bad}: {told:?}");
    }
}

#[test]
fn each_mistake_is_told_at_its_key() {
    let etc = Etc::new();
    let cases = [
        (OKTA, "host = \"corp.okta.com\"", "host = \"https://corp.okta.com\"", "provider.duo.host"),
        (OKTA, "token = {", "tokn = {", "provider.duo.tokn: is an unknown key (did you mean `token`?)"),
        (OKTA, "kind = \"okta\"", "kind = \"okta\"\nuser = \"login\"", "provider.duo.user: \"login\" is unknown here"),
        (OKTA, "kind = \"okta\"", "kind = \"okta\"\ndomain = \"@corp\"", "provider.duo.domain"),
        (OKTA, "kind = \"okta\"", "kind = \"okta\"\nnumber_match = \"yes\"", "provider.duo.number_match"),
        (OKTA, "kind = \"okta\"", "kind = \"okta\"\nurl = \"http://corp.okta.com\"", "provider.duo.url"),
        (ENTRA, "0A1B2C3D-", "corp.example", "provider.duo.tenant"),
        (ENTRA, "secret = { file = \"secrets/entra-secret\" }", "", "provider.duo.secret: is missing"),
        (ENTRA, "kind = \"entra\"", "kind = \"entra\"\ncert_file = \"tls.pem\"", "provider.duo.cert_file: is one proof too many"),
        (
            ENTRA,
            "secret = { file = \"secrets/entra-secret\" }",
            "cert_file = \"tls.pem\"\nkey = { file = \"secrets/tls-key\" }",
            "provider.duo.key: is no RSA key",
        ),
        (ENTRA, "kind = \"entra\"", "kind = \"entra\"\ncloud = \"de\"", "provider.duo.cloud"),
        (ENTRA, "kind = \"entra\"", "kind = \"entra\"\nlogin_url = \"http://192.0.2.1\"", "provider.duo.login_url"),
    ];
    for (keys, old, new, want) in cases {
        assert!(keys.contains(old), "{old}");
        let told = etc.told(&by(&keys.replace(old, new)));
        assert!(told.iter().any(|told| told.contains(want)), "{want}: {told:#?}");
    }
    for (old, new, want) in [
        ("service = \"VA", "service = \"SK", "provider.duo.service"),
        ("key_id = \"SK", "key_id = \"PK", "provider.duo.key_id"),
        ("countries", "channel = \"telegram\"\ncountries", "provider.duo.channel"),
    ] {
        assert!(only(&etc.told(&texts()(&TWILIO.replace(old, new)))).contains(want), "{want}");
    }
}

#[test]
fn a_method_that_a_provider_does_not_have_is_refused() {
    let etc = Etc::new();
    assert!(only(&etc.told(&by(TWILIO))).contains("policy.vpn.methods[0]"), "Twilio pushes nothing");
    let mail = by(ENTRA).replace("{ push = \"duo\" }", "{ email = \"duo\" }");
    assert!(only(&etc.told(&mail)).contains("policy.vpn.methods[0]"), "Entra sends no mail");
}
