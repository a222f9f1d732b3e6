//! German.

use std::borrow::Cow;

use super::Texts;

pub(super) const TEXTS: Texts = Texts {
    again: Cow::Borrowed("Das neue Passwort noch einmal:"),
    alert_block: Cow::Borrowed(
        "{who} wurde um {time} von {by} gesperrt. Bis zum Ende der Sperre meldet sich niemand unter diesem Namen an: vestibule block list",
    ),
    alert_day: Cow::Borrowed(
        "Das Telefon von {who} hat so oft geklingelt, wie die Richtlinie am Tag erlaubt, zuletzt für {app} von {source} um {time}, und nichts wurde bestätigt: vielleicht kennt \
         jemand das Passwort. Was geschehen ist: vestibule audit explain {trace}",
    ),
    alert_fraud: Cow::Borrowed(
        "{who} gibt an, dass eine Anmeldung an {app} von {source} um {time} nicht die eigene war. Wer es versucht hat, kennt das Passwort: \
         lassen Sie es ändern. Ob die Person jetzt gesperrt ist: vestibule block list. Was geschehen ist: vestibule audit explain {trace}",
    ),
    alert_lockouts: Cow::Borrowed(
        "Innerhalb weniger Minuten wurden viele Konten gesperrt, das letzte um {time}: vielleicht probiert jemand Codes oder Passwörter aus. Welche: vestibule audit tail",
    ),
    alert_open: Cow::Borrowed(
        "Kein Anbieter eines zweiten Faktors ist erreichbar, und die Richtlinie {policy} genügt sich dann mit dem ersten. Zuerst eingelassen wurde {who} an {app} um {time}. \
         Was geschehen ist: vestibule audit explain {trace}",
    ),
    alert_subject: Cow::Borrowed("Vestibule auf {server}: bitte ansehen"),
    alert_unwritten: Cow::Borrowed(
        "{who} hat um {time} einen Betrug gemeldet, und die Sperre lässt sich nicht schreiben: sie gilt, solange dieser Server läuft. Sehen Sie nach dem Datenträger.",
    ),
    approve: Cow::Borrowed("Bitte bestätigen Sie die Anfrage auf Ihrem Telefon und drücken Sie dann die Eingabetaste."),
    choose: Cow::Borrowed("Bitte wählen Sie auf Ihrem Telefon die Zahl {number} und drücken Sie dann die Eingabetaste."),
    code_prompt: Cow::Borrowed("Bitte geben Sie Ihren Code ein:"),
    different: Cow::Borrowed("Die beiden neuen Passwörter waren verschieden. Neues Passwort:"),
    expired: Cow::Borrowed("Ihr Passwort ist abgelaufen. Neues Passwort:"),
    ldap_away: Cow::Borrowed("Das Verzeichnis kann gerade nicht gefragt werden."),
    ldap_denied: Cow::Borrowed("Die Anmeldung wurde abgelehnt."),
    mail_body: Cow::Borrowed("Ihr Code: {code}"),
    mail_subject: Cow::Borrowed("Ihre Anmeldung"),
    menu: Cow::Borrowed("{ways}:"),
    menu_call: Cow::Borrowed("Anruf"),
    menu_code: Cow::Borrowed("{ways}, oder geben Sie einen Code ein:"),
    menu_email: Cow::Borrowed("E-Mail"),
    menu_or: Cow::Borrowed("oder"),
    menu_push: Cow::Borrowed("Push"),
    menu_text: Cow::Borrowed("SMS"),
    menu_to_phone: Cow::Borrowed("{way} an das Telefon mit der Endung {phone}"),
    not_taken: Cow::Borrowed("Das Verzeichnis hat es nicht angenommen (Länge, Komplexität, früher benutzt). Neues Passwort:"),
    not_yet: Cow::Borrowed("Noch nicht bestätigt."),
    refused: Cow::Borrowed("Zugang verweigert."),
    sms: Cow::Borrowed("Ihr Code: {code}"),
    unenrolled: Cow::Borrowed("Zugang verweigert. Registrieren können Sie sich hier: {url}"),
};
