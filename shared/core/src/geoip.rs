//! Where an address is, from a database in MaxMind's format: City, Country or ASN.
//!
//! It takes the databases of MaxMind (`GeoLite2`, `GeoIP2`), of DB-IP, which names its fields alike, and of IPinfo, which
//! keeps them flat. What a database does not tell is `None`. The bytes may be anybody's: nothing of them is trusted, and
//! a file that was damaged gives an error or a wrong place, never a panic (a test damages one).

use maxminddb::{MaxMindDbError, Metadata, Reader};
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;
use std::marker::PhantomData;
use std::net::IpAddr;

/// A database and whoever owns its bytes: `&'static [u8]`, `Arc<[u8]>`, `Cow<'static, [u8]>`.
pub(crate) struct Database<S: AsRef<[u8]>>(Reader<S>);

/// What is known of an address.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Place<'a> {
    /// Two letters of ISO 3166-1: `DE`.
    pub(crate) country: Option<&'a str>,
    /// In English, as all names.
    pub(crate) country_name: Option<&'a str>,
    /// The largest subdivision's name.
    pub(crate) region: Option<&'a str>,
    /// What follows the country in ISO 3166-2: `BY`.
    pub(crate) region_code: Option<&'a str>,
    pub(crate) city: Option<&'a str>,
    pub(crate) latitude: Option<f64>,
    pub(crate) longitude: Option<f64>,
    /// `Europe/Berlin`
    pub(crate) timezone: Option<&'a str>,
    /// Two letters: `EU`.
    pub(crate) continent: Option<&'a str>,
    /// The number of the autonomous system.
    pub(crate) asn: Option<u32>,
    /// Who runs it.
    pub(crate) as_org: Option<&'a str>,
}

impl<S: AsRef<[u8]>> Database<S> {
    /// Checks the form, not each record: that would read all of a large file. The error tells what is wrong with it, in
    /// words that go behind the file's name.
    pub(crate) fn open(bytes: S) -> Result<Self, String> {
        let checked = Reader::from_source(bytes.as_ref())
            .map_err(|why| wrong(bytes.as_ref(), &why))
            .map(|reader| tree_ends(bytes.as_ref(), reader.metadata()))?;
        if !checked {
            return Err("is a damaged MaxMind database: its start is missing, or a part of it".into());
        }
        Reader::from_source(bytes).map(Self).map_err(|why| why.to_string())
    }

    /// What it is, by its own account: `GeoLite2-City`.
    pub(crate) fn kind(&self) -> &str {
        &self.0.metadata().database_type
    }

    /// When it was built, in seconds since 1970.
    pub(crate) fn built_s(&self) -> u64 {
        self.0.metadata().build_epoch
    }

    /// Reads all of it. For a command that checks a file: a city database takes seconds.
    pub(crate) fn verify(&self) -> Result<(), String> {
        self.0.verify().map_err(|why| format!("is damaged: {why}"))
    }

    /// None for what is no address, and for one it does not know. An error is of the database: it is damaged, or its
    /// fields are of a form unheard of.
    pub(crate) fn lookup(&self, ip: &str) -> Result<Option<Place<'_>>, String> {
        let Ok(ip) = ip.trim().parse::<IpAddr>() else { return Ok(None) };
        let ip = ip.to_canonical();
        if ip.is_ipv6() && self.0.metadata().ip_version == 4 {
            return Ok(None);
        }
        let record = self.0.lookup(ip).and_then(|found| found.decode::<Record<'_>>());
        record.map(|record| record.map(Place::from)).map_err(|why| format!("the database is damaged: {why}"))
    }
}

impl<S: AsRef<[u8]>> fmt::Debug for Database<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("kind", &self.kind()).finish_non_exhaustive()
    }
}

/// Sixteen zeros stand behind the search tree. They stand elsewhere if something is missing before them.
fn tree_ends(bytes: &[u8], metadata: &Metadata) -> bool {
    let tree =
        (metadata.node_count as usize).checked_mul(usize::from(metadata.record_size)).map(|bits| bits / 4);
    let separator = tree.and_then(|tree| bytes.get(tree..tree.checked_add(16)?));
    separator.is_some_and(|separator| separator.iter().all(|&byte| byte == 0))
}

/// What people take for a database first: what they have downloaded.
fn wrong(bytes: &[u8], why: &MaxMindDbError) -> String {
    let begins = |start: &[u8]| bytes.starts_with(start);
    if bytes.is_empty() {
        "is empty".into()
    } else if begins(&[0x1f, 0x8b]) {
        "is compressed with gzip: unpack it, it is the .mmdb file in there that is wanted".into()
    } else if begins(b"PK\x03\x04") {
        "is a zip file: unpack it, it is the .mmdb file in there that is wanted".into()
    } else if bytes.get(257..262) == Some(b"ustar") {
        "is a tar file: unpack it, it is the .mmdb file in there that is wanted".into()
    } else if begins(b"version https://git-lfs") {
        "is a pointer of Git LFS: the file itself was not fetched".into()
    } else if memchr::memmem::find(bytes, b"\xab\xcd\xefMaxMind.com").is_none() {
        // The mark stands at the end, before what describes the database.
        "is no MaxMind database (.mmdb), or its end is missing".into()
    } else {
        format!("is a damaged or incomplete MaxMind database: {why}")
    }
}

/// A record of any of these databases.
#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Record<'a> {
    #[serde(borrow)]
    continent: Named<'a>,
    country: Named<'a>,
    /// Where the network is registered: all that is known of some.
    registered_country: Named<'a>,
    city: Named<'a>,
    subdivisions: First<Named<'a>>,
    location: Location<'a>,
    autonomous_system_number: Number,
    autonomous_system_organization: Option<&'a str>,
    traits: Traits<'a>,
    // IPinfo.
    continent_code: Option<&'a str>,
    country_code: Option<&'a str>,
    country_name: Option<&'a str>,
    region: Option<&'a str>,
    region_code: Option<&'a str>,
    #[serde(alias = "latitude")]
    lat: Number,
    #[serde(alias = "lng", alias = "longitude")]
    lon: Number,
    timezone: Option<&'a str>,
    asn: Number,
    #[serde(alias = "name")]
    as_name: Option<&'a str>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Location<'a> {
    latitude: Number,
    longitude: Number,
    time_zone: Option<&'a str>,
}

/// In `GeoIP2-Enterprise` and `-Precision`.
#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Traits<'a> {
    autonomous_system_number: Number,
    autonomous_system_organization: Option<&'a str>,
}

impl<'a> From<Record<'a>> for Place<'a> {
    fn from(record: Record<'a>) -> Self {
        let country = if record.country.is_none() { record.registered_country } else { record.country };
        let region = record.subdivisions.0.unwrap_or_default();
        let asn = [record.autonomous_system_number, record.traits.autonomous_system_number, record.asn];
        // IPinfo's flat `country` is a code where there is a name beside it, and a name where there is a code.
        let (flat_code, flat_name) = match country.flat {
            Some(flat) if is_code(flat) => (Some(flat), None),
            flat => (None, flat),
        };
        Self {
            country: country.code.or(record.country_code).or(flat_code),
            country_name: country.name.or(record.country_name).or(flat_name),
            region: region.name.or(region.flat).or(record.region),
            region_code: region.code.or(record.region_code),
            city: record.city.name.or(record.city.flat),
            latitude: record.location.latitude.0.or(record.lat.0),
            longitude: record.location.longitude.0.or(record.lon.0),
            timezone: record.location.time_zone.or(record.timezone),
            continent: record
                .continent
                .code
                .or(record.continent_code)
                .or(record.continent.flat.filter(|flat| is_code(flat))),
            asn: asn.iter().find_map(Number::whole),
            as_org: record
                .autonomous_system_organization
                .or(record.traits.autonomous_system_organization)
                .or(record.as_name),
        }
    }
}

fn is_code(text: &str) -> bool {
    text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// A map with a code and names, or, flat, a text.
#[derive(Default)]
struct Named<'a> {
    code: Option<&'a str>,
    name: Option<&'a str>,
    flat: Option<&'a str>,
}

impl Named<'_> {
    fn is_none(&self) -> bool {
        self.code.is_none() && self.name.is_none() && self.flat.is_none()
    }
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Names<'a> {
    en: Option<&'a str>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Named<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Either<'a>(PhantomData<&'a str>);

        impl<'de: 'a, 'a> Visitor<'de> for Either<'a> {
            type Value = Named<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name, or a code and names")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Named { flat: Some(text).filter(|text| !text.is_empty()), ..Named::default() })
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut named = Named::default();
                while let Some(key) = map.next_key::<&str>()? {
                    match key {
                        "iso_code" | "code" => named.code = Some(map.next_value()?),
                        "names" => named.name = map.next_value::<Names<'_>>()?.en,
                        _ => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(named)
            }
        }

        from.deserialize_any(Either(PhantomData))
    }
}

/// The first of a list.
struct First<T>(Option<T>);

impl<T> Default for First<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for First<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct List<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for List<T> {
            type Value = First<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let first = list.next_element()?;
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(First(first))
            }
        }

        from.deserialize_seq(List(PhantomData))
    }
}

/// A number, or a text that is one: `"48.14"`, `"AS64496"`.
#[derive(Default, Clone, Copy)]
struct Number(Option<f64>);

impl Number {
    fn whole(&self) -> Option<u32> {
        let number = self.0.filter(|number| (1.0..=f64::from(u32::MAX)).contains(number))?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range")]
        Some(number as u32)
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Any;

        impl Visitor<'_> for Any {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }

            fn visit_f64<E>(self, number: f64) -> Result<Number, E> {
                Ok(Number(Some(number).filter(|number| number.is_finite())))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Number, E> {
                Ok(Number(u32::try_from(number).ok().map(f64::from)))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Number, E> {
                Ok(Number(i32::try_from(number).ok().map(f64::from)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Number, E> {
                let number = text.strip_prefix("AS").unwrap_or(text).parse().ok();
                Ok(Number(number.filter(|number: &f64| number.is_finite())))
            }
        }

        from.deserialize_any(Any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::borrow::Cow;
    use std::sync::Arc;

    const DEMO: &[u8] = include_bytes!("../../../data/demo.mmdb");
    const ADDRESSES: [&str; 6] =
        ["203.0.113.7", "198.51.100.200", "198.18.7.7", "2001:db8:4a00::1", "8.8.8.8", "2600::1"];

    #[test]
    fn an_address_has_a_place() {
        let demo = Database::open(DEMO).unwrap();
        assert_eq!((demo.kind(), demo.built_s()), ("Millrace-Demo-City", 1_767_225_600));
        demo.verify().unwrap();
        let place = Place {
            country: Some("XA"),
            country_name: Some("Aldermark"),
            region: Some("Norden"),
            region_code: Some("NO"),
            city: Some("Aldersund"),
            latitude: Some(54.32),
            longitude: Some(10.14),
            timezone: Some("Europe/Berlin"),
            continent: Some("EU"),
            asn: Some(64_496),
            as_org: Some("Aldersund Fibre"),
        };
        for same in ["203.0.113.7", " 203.0.113.7 ", "::ffff:203.0.113.7"] {
            assert_eq!(demo.lookup(same), Ok(Some(place.clone())), "{same}");
        }
        assert!(demo.lookup("2001:db8:1::1").unwrap().unwrap().country.is_some());
        assert!(demo.lookup("198.18.146.33").unwrap().unwrap().asn.is_some());
        for nowhere in ["203.0.113.255", "127.0.0.1", "::1", "2600::1", "", "203.0.113", "203.0.113.7:443"] {
            assert_eq!(demo.lookup(nowhere), Ok(None), "{nowhere}");
        }
    }

    #[test]
    fn the_bytes_are_of_whom_it_suits() {
        assert!(Database::open(Cow::Borrowed(DEMO)).unwrap().lookup("203.0.113.7").unwrap().is_some());
        assert!(Database::open(Arc::<[u8]>::from(DEMO)).unwrap().lookup("203.0.113.7").unwrap().is_some());
    }

    #[test]
    fn what_is_no_database_is_told_what_it_is() {
        let wrong = |bytes: &[u8]| Database::open(bytes).unwrap_err();
        assert_eq!(wrong(b""), "is empty");
        assert!(wrong(b"\x1f\x8b\x08\0").contains("gzip"));
        assert!(wrong(b"PK\x03\x04...").contains("zip"));
        assert!(wrong(b"network,geoname_id").starts_with("is no MaxMind database"));
        assert!(wrong(&DEMO[..DEMO.len() / 2]).ends_with("or its end is missing"));
        assert!(wrong(&DEMO[..DEMO.len() - 20]).starts_with("is a damaged or incomplete MaxMind database"));
        assert!(wrong(&DEMO[300..]).ends_with("its start is missing, or a part of it"));
        assert!(wrong(&DEMO[6000..]).starts_with("is a damaged"));
    }

    /// A record as JSON, which shows the field names of others than the demo's.
    fn place(json: &str) -> String {
        let place = Place::from(serde_json::from_str::<Record<'_>>(json).unwrap());
        let Place { country, country_name, region, city, latitude, continent, asn, as_org, .. } = place;
        format!(
            "{country:?} {country_name:?} {region:?} {city:?} {latitude:?} {continent:?} {asn:?} {as_org:?}"
        )
        .replace("Some(", "")
        .replace([')', '"'], "")
    }

    #[test]
    fn other_databases_name_their_fields_otherwise() {
        for (json, expected) in [
            // GeoLite2-ASN.
            (
                r#"{"autonomous_system_number":64496,"autonomous_system_organization":"Example"}"#,
                "None None None None None None 64496 Example",
            ),
            // GeoLite2-Country, of a network without a place.
            (
                r#"{"registered_country":{"geoname_id":1,"iso_code":"DE","names":{"de":"Deutschland","en":"Germany"}}}"#,
                "DE Germany None None None None None None",
            ),
            // DB-IP City Lite: subdivisions without codes.
            (
                r#"{"city":{"names":{"en":"Munich"}},"country":{"iso_code":"DE","is_in_european_union":true},
                    "subdivisions":[{"names":{"en":"Bavaria"}},{"names":{"en":"Upper Bavaria"}}]}"#,
                "DE None Bavaria Munich None None None None",
            ),
            // IPinfo Lite, and its older Country + ASN.
            (
                r#"{"asn":"AS64496","as_name":"Example","as_domain":"example.com","continent":"Europe",
                    "continent_code":"EU","country":"Germany","country_code":"DE"}"#,
                "DE Germany None None None EU 64496 Example",
            ),
            (
                r#"{"continent":"EU","country":"DE","country_name":"Germany"}"#,
                "DE Germany None None None EU None None",
            ),
            // IPinfo's locations: numbers as texts.
            (
                r#"{"city":"Munich","country":"DE","lat":"48.14","lng":"11.58","region":"Bavaria"}"#,
                "DE None Bavaria Munich 48.14 None None None",
            ),
            ("{}", "None None None None None None None None"),
        ] {
            assert_eq!(place(json), expected, "{json}");
        }
    }

    /// Whatever comes out, as long as it comes out.
    fn look_at(bytes: &[u8]) {
        if let Ok(database) = Database::open(bytes) {
            for address in ADDRESSES {
                let _ = database.lookup(address);
            }
            let _ = database.verify();
        }
    }

    #[test]
    fn no_cut_panics() {
        for end in (0..DEMO.len()).step_by(7) {
            look_at(&DEMO[..end]);
            look_at(&DEMO[end..]);
        }
    }

    #[test]
    fn no_changed_byte_panics() {
        // The metadata, of which each byte matters, and of the rest each of the data that an address leads to.
        for at in DEMO.len() - 250..DEMO.len() {
            for value in [0, 1, 0x1f, 0x20, 0x7f, 0x80, 0xe0, 0xff, DEMO[at] ^ 1, DEMO[at] ^ 0x40] {
                let mut bytes = DEMO.to_vec();
                bytes[at] = value;
                look_at(&bytes);
            }
        }
    }

    proptest! {
        #[test]
        fn no_damage_panics(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
            cut in prop::option::of(any::<prop::sample::Index>()),
        ) {
            let mut bytes = DEMO.to_vec();
            for (at, value) in changes {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            if let Some(cut) = cut {
                let at = cut.index(bytes.len());
                bytes.remove(at);
            }
            look_at(&bytes);
        }
    }
}
