//! `anonymize.truncate_ip`: keep the network, forget the host.
//!
//! ```toml
//! anonymize.truncate_ip = ["ip"]
//! ```
//!
//! ```toml
//! anonymize.truncate_ip = { fields = ["ip", "hops[].ip"], ipv4 = 16, ipv6 = 32 }
//! ```
//! | option | meaning |
//! | --- | --- |
//! | `fields` | the fields of the addresses |
//! | `ipv4` | how many bits of an IPv4 address stay, 0 to 31; 24 if not said: `203.0.113.77` becomes `203.0.113.0` |
//! | `ipv6` | how many bits of an IPv6 address stay, 0 to 127; 48 if not said, what a household's provider gives away at the most |
//!
//! An IPv4 address written as IPv6 (`::ffff:203.0.113.77`) is treated as what it is, and of a 6to4 address, `2002:` and the
//! IPv4 address in it, `ipv4` bits of that stay. Space around an address is taken away. What is no address is removed, never
//! passed on, and so is null. The step rejects nothing.

use super::settings::{Fields, Short, some};
use super::{Context, Step, Touches, Verdict};
use crate::event::{Event, Id, New, Pattern};
use crate::files::Files;
use crate::mistake::Mistake;
use serde::Deserialize;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(crate) struct TruncateIp {
    fields: Fields,
    ipv4: u32,
    ipv6: u128,
    text: String,
}

/// `anonymize.truncate_ip`.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The fields of the addresses.
    fields: Vec<Pattern>,
    /// How many bits of an IPv4 address stay.
    #[serde(default = "ipv4")]
    #[schemars(range(max = 31))]
    ipv4: u32,
    /// How many bits of an IPv6 address stay.
    #[serde(default = "ipv6")]
    #[schemars(range(max = 127))]
    ipv6: u32,
}

fn ipv4() -> u32 {
    24
}

fn ipv6() -> u32 {
    48
}

impl From<Vec<Pattern>> for Settings {
    fn from(fields: Vec<Pattern>) -> Self {
        Self { fields, ipv4: ipv4(), ipv6: ipv6() }
    }
}

impl Step for TruncateIp {
    const NAME: &'static str = "anonymize.truncate_ip";
    type Settings = Short<Vec<Pattern>, Settings>;

    fn compile(settings: Self::Settings, _files: &dyn Files) -> Result<Self, Mistake> {
        let Settings { fields, ipv4, ipv6 } = settings.0;
        for (name, bits, most) in [("ipv4", ipv4, 31), ("ipv6", ipv6, 127)] {
            if bits > most {
                return Err(Mistake::new(format!("`{name} = {bits}` keeps the whole address"))
                    .with_help(format!("it is a number of bits, 0 to {most}")));
            }
        }
        Ok(Self {
            fields: Fields::new(some(fields, "field")?),
            ipv4: !u32::MAX.checked_shr(ipv4).unwrap_or(0),
            ipv6: !u128::MAX.checked_shr(ipv6).unwrap_or(0),
            text: String::new(),
        })
    }

    fn touches(&self) -> Touches {
        Touches { hides: self.fields.patterns().to_vec(), ..Touches::default() }
    }

    fn apply(&mut self, event: &mut Event, _cx: &Context<'_>) -> Verdict {
        let Self { fields, ipv4, ipv6, text } = self;
        fields.each(event, |event, id| {
            let Some(came) = event.value(id).as_str().filter(|came| network(came, *ipv4, *ipv6, text)) else {
                return event.remove(id);
            };
            if came != text {
                set(event, id, text);
            }
        });
        Verdict::Keep
    }
}

fn set(event: &mut Event, id: Id, text: &str) {
    event.set(id, New::Str(text));
}

/// Writes the network of an address; false where it is none.
fn network(text: &str, ipv4: u32, ipv6: u128, out: &mut String) -> bool {
    let text = text.trim();
    out.clear();
    let address = match text.parse::<Ipv4Addr>() {
        Ok(_) if ipv4 == !0xff => {
            // Nearly always: what is an address but for its last byte needs not be written anew.
            out.push_str(text.trim_end_matches(|sign: char| sign.is_ascii_digit()));
            out.push('0');
            return true;
        }
        Ok(address) => IpAddr::V4(address),
        Err(_) => match text.parse::<Ipv6Addr>() {
            Ok(address) => address.to_canonical(),
            Err(_) => return false,
        },
    };
    // Writing to a String cannot fail.
    let _ = match address {
        IpAddr::V4(address) => write!(out, "{}", Ipv4Addr::from_bits(address.to_bits() & ipv4)),
        IpAddr::V6(address) => {
            // 6to4: an IPv4 address behind 16 bits, https://www.rfc-editor.org/rfc/rfc3056#section-2
            let is_6to4 = matches!(address.segments(), [0x2002, ..]);
            let mask = if is_6to4 { ipv6 & (0xffff << 112 | u128::from(ipv4) << 80) } else { ipv6 };
            write!(out, "{}", Ipv6Addr::from_bits(address.to_bits() & mask))
        }
    };
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::{edits, refuse, run};
    use expect_test::expect;

    fn check(settings: &str, pairs: &[(&str, &str)]) {
        for (address, network) in pairs {
            let after = run::<TruncateIp>(settings, &format!(r#"{{"ip":"{address}"}}"#));
            assert_eq!(after, format!(r#"{{"ip":"{network}"}}"#), "{address}");
        }
    }

    #[test]
    fn keeps_the_network_and_forgets_the_host() {
        check(
            r#"["ip"]"#,
            &[
                ("203.0.113.77", "203.0.113.0"),
                (" 203.0.113.77 ", "203.0.113.0"),
                ("1.2.3.0", "1.2.3.0"),
                ("2001:db8:1:2:3:4:5:6", "2001:db8:1::"),
                ("::ffff:203.0.113.77", "203.0.113.0"),
                ("::1", "::"),
                ("2002:cb00:714d::cb00:714d", "2002:cb00:7100::"),
                ("64:ff9b::203.0.113.77", "64:ff9b::"),
            ],
        );
    }

    #[test]
    fn how_much_is_kept_may_be_said() {
        let settings = r#"{ fields = ["ip"], ipv4 = 17, ipv6 = 33 }"#;
        check(
            settings,
            &[
                ("203.0.213.77", "203.0.128.0"),
                ("2001:db8:ffff::1", "2001:db8:8000::"),
                ("2002:cb00:714d::", "2002:cb00::"),
            ],
        );
        let settings = r#"{ fields = ["ip"], ipv4 = 0, ipv6 = 0 }"#;
        check(settings, &[("203.0.213.77", "0.0.0.0"), ("2001:db8:ffff::1", "::")]);
        let settings = r#"{ fields = ["ip"], ipv4 = 31, ipv6 = 127 }"#;
        check(settings, &[("203.0.213.77", "203.0.213.76"), ("2001:db8::1", "2001:db8::")]);
        refuse::<TruncateIp>(
            r#"{ fields = ["ip"], ipv4 = 32 }"#,
            &expect!["`ipv4 = 32` keeps the whole address = it is a number of bits, 0 to 31"],
        );
    }

    #[test]
    fn what_is_no_address_is_removed() {
        for value in [
            "\"203.0.113.77, 10.0.0.1\"",
            "\"203.0.113\"",
            "\"203.0.113.077\"",
            "\"203.0.113.277\"",
            "\"203.0.113.77:80\"",
            "\"٢٠٣.0.113.77\"",
            "\"\"",
            "\"ann\"",
            "\"fe80::1%eth0\"",
            "7",
            "null",
            "[\"203.0.113.77\"]",
        ] {
            assert_eq!(run::<TruncateIp>(r#"["ip"]"#, &format!(r#"{{"ip":{value}}}"#)), "{}", "{value}");
        }
    }

    #[test]
    fn a_network_is_no_change() {
        for ip in ["203.0.113.0", "2001:db8::"] {
            assert_eq!(edits::<TruncateIp>(r#"["ip"]"#, &format!(r#"{{"ip":"{ip}"}}"#)), 0);
        }
        assert_eq!(edits::<TruncateIp>(r#"["ip"]"#, "{}"), 0);
    }

    #[test]
    fn the_fast_way_gives_what_the_long_one_gives() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..10_000 {
            let text = Ipv4Addr::from_bits(random.u32(..)).to_string();
            let (mut short, mut long) = (String::new(), String::new());
            assert!(network(&text, !0xff, 0, &mut short));
            assert!(network(&format!("::ffff:{text}"), !0xff, 0, &mut long));
            assert_eq!(short, long);
        }
    }
}
