//! `enrich.geoip`: where an address is, from a database.
//!
//! ```toml
//! enrich.geoip = { from = "ip", into = "geo", database = "data/GeoLite2-City.mmdb" }
//! ```
//!
//! ```toml
//! enrich.geoip = { from = "ip", into = "geo", database = "data/asn.mmdb", fields = ["asn", "as_org"] }
//! ```
//! | field | what | |
//! | --- | --- | --- |
//! | `geo.country` | two letters, `DE` | |
//! | `geo.country_name` | in English, as all names | if named |
//! | `geo.region` | the largest subdivision's name | |
//! | `geo.region_code` | what follows the country in ISO 3166-2, `BY` | if named |
//! | `geo.city` | its name | |
//! | `geo.latitude`, `geo.longitude` | of the city, or what the database has | if named |
//! | `geo.timezone` | `Europe/Berlin` | |
//! | `geo.continent` | two letters, `EU` | if named |
//! | `geo.asn`, `geo.as_org` | the network's number, and who runs it | |
//!
//! | option | meaning |
//! | --- | --- |
//! | `from`, `into` | the field of the address, and the object for what is known of it |
//! | `database` | a file in MaxMind's format beside `pipeline.toml`: of MaxMind, DB-IP or IPinfo. It becomes part of the functions, so mind its licence and its size |
//! | `fields` | which of the fields to set; if not said, all but those that the table says must be named |
//!
//! `millrace check` reads all of the database, and tells when it was built: addresses move, and so does what the licences
//! allow. What the database does not know is left out. Where the field is missing, null or no address, or nobody knows where it
//! is, nothing is set. What a producer had put under `into` goes in any case. Run it before `anonymize.truncate_ip`, or
//! behind it: a network of 24 bits is in the same country nearly always, but not in the same city. The step rejects
//! nothing.

use super::cache::Cache;
use super::object::{object, replace};
use super::settings::{FromInto, some};
use super::{Context, Places, Step, Touches, Verdict};
use crate::event::{Event, ItemPath};
use crate::files::{self, Files};
use crate::geoip::Database;
use crate::mistake::Mistake;
use serde::Deserialize;
use std::borrow::Cow;

pub(crate) struct GeoIp {
    from_into: FromInto,
    file: String,
    database: Database<Cow<'static, [u8]>>,
    fields: Vec<Field>,
    known: Cache<String>,
}

/// `enrich.geoip`.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The field of the address.
    from: ItemPath,
    /// The object for what is known of it.
    into: ItemPath,
    /// A file in MaxMind's format, beside pipeline.toml.
    database: String,
    /// Which fields to set.
    #[serde(default = "common")]
    fields: Vec<Field>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Field {
    Country,
    CountryName,
    Region,
    RegionCode,
    City,
    Latitude,
    Longitude,
    Timezone,
    Continent,
    Asn,
    AsOrg,
}

fn common() -> Vec<Field> {
    vec![Field::Country, Field::Region, Field::City, Field::Timezone, Field::Asn, Field::AsOrg]
}

impl Step for GeoIp {
    const NAME: &'static str = "enrich.geoip";
    type Settings = Settings;

    fn compile(settings: Settings, files: &dyn Files) -> Result<Self, Mistake> {
        let Settings { from, into, database: name, fields } = settings;
        let from_into = FromInto::new(from, into)?.apart()?;
        let fields = some(fields, "field")?;
        let bytes = files::read(files, "the database", &name)?;
        let database = Database::open(bytes).map_err(|why| Mistake::new(format!("`{name}` {why}")))?;
        Ok(Self { from_into, file: name, database, fields, known: Cache::new() })
    }

    fn touches(&self) -> Touches {
        self.from_into.touches()
    }

    fn places(&self) -> Option<Places<'_>> {
        Some(Places { file: &self.file, database: &self.database })
    }

    fn apply(&mut self, event: &mut Event, _cx: &Context<'_>) -> Verdict {
        let Self { from_into, database, fields, known, .. } = self;
        from_into.each(event, |event, top, from, into| {
            let ip = event.str_in(top, from);
            let json = ip.map(|ip| known.get(ip, |ip, json| told(database, ip, fields, json)));
            replace(event, top, into, json.map_or("", String::as_str));
            Verdict::Keep
        })
    }
}

fn told(database: &Database<Cow<'static, [u8]>>, ip: &str, fields: &[Field], json: &mut String) {
    // `millrace check` reads all of the database; of a record that is damaged nothing is known.
    let place = database.lookup(ip).ok().flatten().unwrap_or_default();
    object(json, |members| {
        for field in fields {
            match field {
                Field::Country => members.text("country", place.country),
                Field::CountryName => members.text("country_name", place.country_name),
                Field::Region => members.text("region", place.region),
                Field::RegionCode => members.text("region_code", place.region_code),
                Field::City => members.text("city", place.city),
                Field::Latitude => members.float("latitude", place.latitude),
                Field::Longitude => members.float("longitude", place.longitude),
                Field::Timezone => members.text("timezone", place.timezone),
                Field::Continent => members.text("continent", place.continent),
                Field::Asn => members.int("asn", place.asn.map(i64::from)),
                Field::AsOrg => members.text("as_org", place.as_org),
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::{play, refuse, step};
    use expect_test::expect;

    const FILES: &[(&str, &[u8])] = &[
        ("demo.mmdb", include_bytes!("../../../../data/demo.mmdb")),
        ("text.mmdb", b"not a database at all"),
    ];

    fn run(more: &str, event: &str) -> String {
        let settings = format!(r#"{{ from = "ip", into = "geo", database = "demo.mmdb"{more} }}"#);
        play(&mut step::<GeoIp>(&settings, &FILES), event)
    }

    #[test]
    fn an_address_has_a_place() {
        expect![[r#"{"ip":"203.0.113.77","geo":{"country":"XE","region":"Kita","city":"Aoshima","timezone":"Asia/Tokyo","asn":64503,"as_org":"Kita Broadband"}}"#]].assert_eq(&run("", r#"{"ip":"203.0.113.77"}"#));
        expect![[r#"{"ip":"203.0.113.77","geo":{"country_name":"Enzan","latitude":43.06,"longitude":141.35,"continent":"AS","region_code":"KT"}}"#]].assert_eq(&run(
            r#", fields = ["country_name", "latitude", "longitude", "continent", "region_code"]"#,
            r#"{"ip":"203.0.113.77"}"#,
        ));
    }

    #[test]
    fn what_is_no_address_or_nobody_knows_has_none_and_a_claim_goes() {
        for value in
            [r#""127.0.0.1""#, r#""ann""#, r#""""#, r#""٢.0.113.77""#, "null", "7", r#"["203.0.113.77"]"#]
        {
            let event = format!(r#"{{"ip":{value}}}"#);
            assert_eq!(run("", &event), event);
        }
        assert_eq!(run("", r#"{"geo":{"country":"claimed"},"a":1}"#), r#"{"a":1}"#);
    }

    #[test]
    fn a_wrong_database_is_a_mistake() {
        refuse::<GeoIp>(
            r#"{ from = "ip", into = "geo", database = "none.mmdb" }"#,
            &expect![
                "the database `none.mmdb` cannot be read: there is no such file = it is a file beside the pipeline"
            ],
        );
        let settings = |name: &str| Settings {
            from: "ip".to_owned().try_into().unwrap(),
            into: "geo".to_owned().try_into().unwrap(),
            database: name.to_owned(),
            fields: common(),
        };
        let mistake = GeoIp::compile(settings("text.mmdb"), &FILES).map(|_| ()).unwrap_err();
        expect!["`text.mmdb` is no MaxMind database (.mmdb), or its end is missing"]
            .assert_eq(&mistake.to_string());
    }
}
