//! English.

use std::borrow::Cow;

use super::Texts;

pub(super) const TEXTS: Texts = Texts {
    again: Cow::Borrowed("The new password again:"),
    alert_block: Cow::Borrowed("{who} was blocked at {time} by {by}. Nobody logs in as them until the block ends: vestibule block list"),
    alert_day: Cow::Borrowed(
        "The phone of {who} rang as often in a day as the policy allows, the last time for {app} from {source} at {time}, and nothing was approved: somebody may know the \
         password. What happened: vestibule audit explain {trace}",
    ),
    alert_fraud: Cow::Borrowed(
        "{who} says that a login at {app} from {source} at {time} was not theirs. Whoever tried it knows the password: have it changed. \
         Whether they are blocked now: vestibule block list. What happened: vestibule audit explain {trace}",
    ),
    alert_lockouts: Cow::Borrowed(
        "Many accounts were locked within a few minutes, the last at {time}: somebody may be guessing codes or passwords. Who: vestibule audit tail",
    ),
    alert_open: Cow::Borrowed(
        "No provider of a second factor can be reached, and policy {policy} lets people in by the first factor alone then. The first was {who} at {app} at {time}. \
         What happened: vestibule audit explain {trace}",
    ),
    alert_subject: Cow::Borrowed("Vestibule on {server}: please look at this"),
    alert_unwritten: Cow::Borrowed(
        "{who} reported a fraud at {time}, and the block cannot be written to disk: it holds while this server runs. Look at its disk.",
    ),
    approve: Cow::Borrowed("Approve the request on your phone, then press Enter."),
    choose: Cow::Borrowed("Choose {number} on your phone, then press Enter."),
    code_prompt: Cow::Borrowed("Enter your code:"),
    different: Cow::Borrowed("The two new passwords were different. New password:"),
    expired: Cow::Borrowed("Your password has expired. New password:"),
    ldap_away: Cow::Borrowed("the directory cannot be asked now"),
    ldap_denied: Cow::Borrowed("the credentials are not accepted"),
    mail_body: Cow::Borrowed("Your code: {code}"),
    mail_subject: Cow::Borrowed("Your login"),
    menu: Cow::Borrowed("{ways}:"),
    menu_call: Cow::Borrowed("call"),
    menu_code: Cow::Borrowed("{ways}, or type a code:"),
    menu_email: Cow::Borrowed("email"),
    menu_or: Cow::Borrowed("or"),
    menu_push: Cow::Borrowed("push"),
    menu_text: Cow::Borrowed("text"),
    menu_to_phone: Cow::Borrowed("{way} to the phone ending in {phone}"),
    not_taken: Cow::Borrowed("The directory did not take it (length, complexity, history). New password:"),
    not_yet: Cow::Borrowed("Not approved yet."),
    refused: Cow::Borrowed("Access denied."),
    sms: Cow::Borrowed("Your code: {code}"),
    unenrolled: Cow::Borrowed("Access denied. To enrol, go to {url}"),
};
