//! `filter.ip`: drop what comes from some addresses.
//!
//! ```toml
//! filter.ip = { field = "ip", deny = ["10.0.0.0/8", "2001:db8::/32", "203.0.113.7"] }
//! ```
//! For the office, the load test and the monitor. An IPv4 address written as IPv6 (`::ffff:10.0.0.1`) is treated as what
//! it is. What is missing, or no address, is kept. It goes before `anonymize.truncate_ip`, which forgets the host.
//!
//! | option | meaning |
//! | --- | --- |
//! | `field` | where the address stands; of many, `hops[].ip`, one is enough |
//! | `deny` | networks, `address/bits`, and single addresses |

use super::settings::{Places, some};
use super::{Context, Step, Touches, Verdict};
use crate::event::{Event, Pattern};
use crate::files::Files;
use crate::mistake::Mistake;
use serde::Deserialize;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(crate) struct DenyIp {
    field: Places,
    /// First and last addresses, in order, none within another.
    ranges: Vec<(IpAddr, IpAddr)>,
}

/// `filter.ip`.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Where the address stands.
    field: Pattern,
    /// Networks, `10.0.0.0/8`, and single addresses.
    deny: Vec<Network>,
}

/// The first and the last address of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
struct Network(IpAddr, IpAddr);

impl Step for DenyIp {
    const NAME: &'static str = "filter.ip";
    type Settings = Settings;

    fn compile(Settings { field, deny }: Settings, _files: &dyn Files) -> Result<Self, Mistake> {
        let mut ranges: Vec<_> =
            some(deny, "network")?.into_iter().map(|Network(first, last)| (first, last)).collect();
        // Networks are apart or within each other; the larger one first.
        ranges.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)));
        ranges.dedup_by(|inner, outer| inner.1 <= outer.1);
        Ok(Self { field: Places::new(field), ranges })
    }

    fn touches(&self) -> Touches {
        Touches { reads: vec![self.field.pattern()], ..Touches::default() }
    }

    fn apply(&mut self, event: &mut Event, _cx: &Context<'_>) -> Verdict {
        let Self { field, ranges } = self;
        let all_may = field.each(event, |event, id| {
            let address = event.value(id).as_str().and_then(|text| text.trim().parse::<IpAddr>().ok());
            let is_denied = address.is_some_and(|address| is_within(ranges, address.to_canonical()));
            if is_denied { Err(()) } else { Ok(()) }
        });
        if all_may.is_ok() { Verdict::Keep } else { Verdict::Drop }
    }
}

/// Whether one of these ranges, which are in order, has the address.
fn is_within(ranges: &[(IpAddr, IpAddr)], address: IpAddr) -> bool {
    let before = ranges.partition_point(|(first, _)| *first <= address);
    // `IpAddr` puts all of IPv4 before IPv6.
    before.checked_sub(1).and_then(|at| ranges.get(at)).is_some_and(|(_, last)| address <= *last)
}

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no network: it is written `10.0.0.0/8` or `2001:db8::/32`");
        let (address, bits) = text.split_once('/').map_or((text.as_str(), None), |(a, bits)| (a, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        if address != address.to_canonical() {
            return Err(format!(
                "`{text}` is IPv4 written as IPv6: write `{}` with the bits of IPv4",
                address.to_canonical()
            ));
        }
        let width: u32 = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => width,
            Some(bits) if bits.len() <= 3 && bits.bytes().all(|digit| digit.is_ascii_digit()) => {
                bits.parse().ok().filter(|bits| *bits <= width).ok_or_else(wrong)?
            }
            Some(_) => return Err(wrong()),
        };
        let (first, last): (IpAddr, IpAddr) = match address {
            IpAddr::V4(address) => {
                let host = u32::MAX.checked_shr(bits).unwrap_or(0);
                let address = address.to_bits();
                (Ipv4Addr::from_bits(address & !host).into(), Ipv4Addr::from_bits(address | host).into())
            }
            IpAddr::V6(address) => {
                let host = u128::MAX.checked_shr(bits).unwrap_or(0);
                let address = address.to_bits();
                (Ipv6Addr::from_bits(address & !host).into(), Ipv6Addr::from_bits(address | host).into())
            }
        };
        if first != address {
            return Err(format!("`{text}` is an address within a network: the network is `{first}/{bits}`"));
        }
        Ok(Self(first, last))
    }
}

impl schemars::JsonSchema for Network {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Network".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "description": "A network, `10.0.0.0/8`, or an address." })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::{refuse, run};
    use expect_test::expect;

    #[test]
    fn what_comes_from_a_network_is_dropped() {
        let settings = r#"{ field = "ip", deny = ["10.1.0.0/16", "10.0.0.0/8", "192.0.2.8/30", "203.0.113.7", "2001:db8::/32", "::1", "255.255.255.255/32"] }"#;
        for (address, is_denied) in [
            ("10.0.0.0", true),
            (" 10.255.255.255 ", true),
            ("10.1.2.3", true),
            ("11.0.0.0", false),
            ("9.255.255.255", false),
            ("192.0.2.7", false),
            ("192.0.2.11", true),
            ("192.0.2.12", false),
            ("203.0.113.7", true),
            ("203.0.113.8", false),
            ("255.255.255.255", true),
            ("2001:db8:ffff::1", true),
            ("2001:db9::", false),
            ("::1", true),
            ("::", false),
            ("::ffff:10.0.0.1", true),
            ("10.0.0.1, 10.0.0.2", false),
            ("10.0.0.1:80", false),
            ("10.0.0", false),
            ("", false),
            ("日本", false),
        ] {
            let event = format!(r#"{{"ip":"{address}"}}"#);
            assert_eq!(run::<DenyIp>(settings, &event), if is_denied { "dropped" } else { &event });
        }
        for event in [r#"{"ip":null}"#, r#"{"ip":167772161}"#, r#"{"ip":["10.0.0.1"]}"#, "{}"] {
            assert_eq!(run::<DenyIp>(settings, event), event);
        }
        assert_eq!(
            run::<DenyIp>(r#"{ field = "ip", deny = ["0.0.0.0/0"] }"#, r#"{"ip":"1.2.3.4"}"#),
            "dropped"
        );
        assert_eq!(
            run::<DenyIp>(r#"{ field = "ip", deny = ["::/0"] }"#, r#"{"ip":"1.2.3.4"}"#),
            r#"{"ip":"1.2.3.4"}"#
        );
    }

    #[test]
    fn one_address_of_many_is_enough() {
        let settings = r#"{ field = "hops[].ip", deny = ["10.0.0.0/8"] }"#;
        for (hops, expected) in [("1.2.3.4", None), ("10.0.0.1", Some("dropped"))] {
            let event = format!(r#"{{"hops":[{{"ip":"9.9.9.9"}},{{}},7,{{"ip":"{hops}"}}]}}"#);
            assert_eq!(run::<DenyIp>(settings, &event), expected.unwrap_or(&event));
        }
    }

    #[test]
    fn mistakes_are_told() {
        let of = |network: &str| format!(r#"{{ field = "ip", deny = ["{network}"] }}"#);
        refuse::<DenyIp>(
            &of("10.0.0.1/8"),
            &expect!["`10.0.0.1/8` is an address within a network: the network is `10.0.0.0/8`"],
        );
        refuse::<DenyIp>(
            &of("10.0.0.0/33"),
            &expect!["`10.0.0.0/33` is no network: it is written `10.0.0.0/8` or `2001:db8::/32`"],
        );
        for wrong in [
            "",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0/8",
            "010.0.0.0/8",
            "example.com",
            "::1/129",
            "10.0.0.0/8/8",
        ] {
            assert!(serde_json::from_str::<Network>(&format!("\"{wrong}\"")).is_err(), "{wrong}");
        }
        refuse::<DenyIp>(
            &of("::ffff:10.0.0.0/104"),
            &expect!["`::ffff:10.0.0.0/104` is IPv4 written as IPv6: write `10.0.0.0` with the bits of IPv4"],
        );
        refuse::<DenyIp>(
            r#"{ field = "ip", deny = [] }"#,
            &expect!["no network is named, so the step does nothing"],
        );
    }
}
