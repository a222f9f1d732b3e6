//! The command line: `--name value`, each at most once, none unknown.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::SocketAddrV4;
use std::str::FromStr;
use std::time::Duration;

use crate::Fault;

/// What was typed and nobody has asked for yet.
pub struct Flags(BTreeMap<String, String>);

impl Flags {
    pub fn read(words: &[String]) -> Result<Self, Fault> {
        let mut flags = BTreeMap::new();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let name = word.strip_prefix("--").ok_or_else(|| format!("{word:?} is no flag"))?;
            let value = words.next().ok_or_else(|| format!("--{name} wants a value"))?;
            if flags.insert(name.to_owned(), value.clone()).is_some() {
                return Err(format!("--{name} is there twice").into());
            }
        }
        Ok(Self(flags))
    }

    pub fn optional<T: FromStr<Err: Display>>(&mut self, name: &str) -> Result<Option<T>, Fault> {
        let text = self.0.remove(name);
        text.map(|text| text.parse().map_err(|error| format!("--{name} {text}: {error}").into())).transpose()
    }

    pub fn or<T: FromStr<Err: Display>>(&mut self, name: &str, usual: T) -> Result<T, Fault> {
        Ok(self.optional(name)?.unwrap_or(usual))
    }

    pub fn needed<T: FromStr<Err: Display>>(&mut self, name: &str) -> Result<T, Fault> {
        self.optional(name)?.ok_or_else(|| format!("--{name} is needed").into())
    }

    pub fn seconds(&mut self, name: &str, usual: f64) -> Result<Duration, Fault> {
        Ok(Duration::try_from_secs_f64(self.or(name, usual)?)?)
    }

    /// An address of this machine alone: nobody else is ever loaded by this.
    pub fn loopback(&mut self, name: &str) -> Result<SocketAddrV4, Fault> {
        let address: SocketAddrV4 = self.needed(name)?;
        if address.ip().is_loopback() { Ok(address) } else { Err(format!("--{name} {address}: loopback addresses alone").into()) }
    }

    pub fn finish(self) -> Result<(), Fault> {
        self.0.keys().next().map_or(Ok(()), |name| Err(format!("--{name} is unknown here").into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(line: &str) -> Result<Flags, Fault> {
        Flags::read(&line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn nobody_but_this_machine_is_loaded() {
        assert!(flags("--server 192.0.2.1:1812").unwrap().loopback("server").is_err());
        assert!(flags("--server 127.0.0.9:1812").unwrap().loopback("server").is_ok());
    }

    #[test]
    fn a_slip_of_the_keyboard_is_told() {
        assert!(flags("--rate 1 --rate 2").is_err());
        assert!(flags("--rate").is_err());
        assert!(flags("--rats 1").unwrap().finish().is_err());
        assert!(flags("--rate many").unwrap().optional::<f64>("rate").is_err());
    }
}
