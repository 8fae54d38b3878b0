//! `anonymize.truncate_ip`: keep the network, forget the host.
//!
//! ```toml
//! anonymize.truncate_ip = ["ip"]
//! ```
//! IPv4 keeps /24, IPv6 /48; an IPv4 address written as IPv6 (`::ffff:203.0.113.77`) is treated as what it is.
//! What is no address is removed, never passed on.

use super::settings::Fields;
use super::{Context, Step, Touches, Verdict};
use crate::event::{Event, New, Pattern};
use crate::files::Files;
use crate::mistake::Mistake;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(crate) struct TruncateIp {
    fields: Fields,
    text: String,
}

impl Step for TruncateIp {
    const NAME: &'static str = "anonymize.truncate_ip";
    type Settings = Vec<Pattern>;

    fn compile(fields: Vec<Pattern>, _files: &dyn Files) -> Result<Self, Mistake> {
        Ok(Self { fields: Fields::new(fields), text: String::new() })
    }

    fn touches(&self) -> Touches {
        Touches { hides: self.fields.patterns().to_vec(), ..Touches::default() }
    }

    fn apply(&mut self, event: &mut Event, _cx: &Context<'_>) -> Verdict {
        let text = &mut self.text;
        self.fields.each(event, |event, id| match event.value(id).as_str().and_then(network) {
            Some(network) => {
                text.clear();
                let _ = write!(text, "{network}"); // writing to a String cannot fail
                event.set(id, New::Str(text));
            }
            None => event.remove(id),
        });
        Verdict::Keep
    }
}

fn network(text: &str) -> Option<IpAddr> {
    Some(match text.trim().parse::<IpAddr>().ok()?.to_canonical() {
        IpAddr::V4(address) => Ipv4Addr::from_bits(address.to_bits() & (!0 << 8)).into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (!0 << 80)).into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::run;

    #[test]
    fn keeps_the_network_and_forgets_the_host() {
        for (address, network) in [
            ("203.0.113.77", "203.0.113.0"),
            (" 203.0.113.77 ", "203.0.113.0"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1::"),
            ("::ffff:203.0.113.77", "203.0.113.0"),
            ("::1", "::"),
        ] {
            let after = run::<TruncateIp>(r#"["ip"]"#, &format!(r#"{{"ip":"{address}"}}"#));
            assert_eq!(after, format!(r#"{{"ip":"{network}"}}"#), "{address}");
        }
    }

    #[test]
    fn what_is_no_address_is_removed() {
        for value in [
            "\"203.0.113.77, 10.0.0.1\"",
            "\"203.0.113\"",
            "\"ann\"",
            "\"fe80::1%eth0\"",
            "7",
            "null",
            "[\"203.0.113.77\"]",
        ] {
            assert_eq!(run::<TruncateIp>(r#"["ip"]"#, &format!(r#"{{"ip":{value}}}"#)), "{}", "{value}");
        }
    }
}
