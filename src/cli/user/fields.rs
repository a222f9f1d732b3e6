//! What the command line says about a person.

use clap::Args;
use clap::ValueEnum;

use crate::app::shapes::Device;
use crate::app::shapes::Fields;
use crate::domain;

/// The fields of an account. An empty text takes a field away.
#[derive(Clone, Debug, Default, Args)]
pub(in crate::cli) struct Said {
    /// The method tried first; `none`: the policy's first
    #[arg(long)]
    method: Option<Way>,
    /// The mail address, in place of the directory's
    #[arg(long, value_parser = mail)]
    mail: Option<String>,
    /// The telephone number, in place of the directory's; an extension behind it: +49 30 12345678x12
    #[arg(long, value_name = "NUMBER")]
    phone: Option<String>,
    /// The number tried where the first does not answer
    #[arg(long, value_name = "NUMBER")]
    backup_phone: Option<String>,
    /// Given name
    #[arg(long, value_name = "NAME")]
    given_name: Option<String>,
    /// Family name
    #[arg(long, value_name = "NAME")]
    family_name: Option<String>,
    /// The language of what this person reads and hears: de, en, pt-BR
    #[arg(long)]
    language: Option<String>,
    /// The group it is listed under
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// What to remember of it
    #[arg(long, value_name = "TEXT")]
    notes: Option<String>,
    /// A device that is asked, at most ten; together they stand in place of those there are; `none`: no device
    #[arg(long, value_name = "PROVIDER=ID[:LABEL]", value_parser = device)]
    device: Vec<Named>,
}

/// The method tried first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Way {
    /// A telephone call
    Call,
    /// A code that comes by mail
    Email,
    /// No method of its own
    None,
    /// A code from a generator
    Oath,
    /// A question on the phone's screen
    Push,
    /// A code that comes by text message
    Text,
}

/// A device, or the word for none.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Named {
    Device(Device),
    Nothing,
}

impl Said {
    /// Whether nothing is said.
    pub(super) fn is_empty(&self) -> bool {
        self.fields() == Fields::default()
    }

    /// What is said.
    pub(super) fn fields(&self) -> Fields {
        let said = self.clone();
        let devices = said.device.iter().filter_map(|named| match named {
            Named::Device(device) => Some(device.clone()),
            Named::Nothing => None,
        });
        Fields {
            method: said.method.and_then(Way::method),
            no_method: said.method == Some(Way::None),
            mail: said.mail,
            phone: said.phone,
            backup_phone: said.backup_phone,
            given_name: said.given_name,
            family_name: said.family_name,
            language: said.language,
            group: said.group,
            notes: said.notes,
            devices: Some(devices.collect()).filter(|_| !said.device.is_empty()),
        }
    }
}

impl Way {
    fn method(self) -> Option<domain::Method> {
        match self {
            Self::Call => Some(domain::Method::Call),
            Self::Email => Some(domain::Method::Email),
            Self::None => None,
            Self::Oath => Some(domain::Method::Oath),
            Self::Push => Some(domain::Method::Push),
            Self::Text => Some(domain::Method::Text),
        }
    }
}

/// What is plainly no mail address is a slip of the keyboard; the server looks closer.
fn mail(text: &str) -> Result<String, String> {
    if text.is_empty() || text.contains('@') { Ok(text.to_owned()) } else { Err("write it as name@example.org".to_owned()) }
}

fn device(text: &str) -> Result<Named, String> {
    if text == "none" {
        return Ok(Named::Nothing);
    }
    let (provider, rest) = text.split_once('=').ok_or("write PROVIDER=ID or PROVIDER=ID:LABEL, or none")?;
    let (id, label) = rest.split_once(':').unwrap_or((rest, ""));
    Ok(Named::Device(Device { provider: provider.to_owned(), id: id.to_owned(), label: label.to_owned() }))
}
