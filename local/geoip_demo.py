"""Writes data/demo.mmdb, the small database that the demo and the tests look addresses up in.

It knows the addresses that stand for nobody: those of the documentation (RFC 5737, RFC 3849) and of benchmarks (RFC 2544),
which is what the sample events come from. Countries, cities and operators are invented: the codes are of those that
ISO 3166-1 leaves to users, the numbers of those that RFC 5398 keeps for documentation. The same bytes come out each time.

    make .tools/geoip/ready && .tools/geoip/bin/python local/geoip_demo.py
"""

import pathlib

from mmdb_writer import MMDBWriter
from netaddr import IPNetwork, IPSet

DATABASE = pathlib.Path(__file__).resolve().parent.parent / "data" / "demo.mmdb"
BUILT = 1767225600  # 2026-01-01T00:00:00Z: the clock would change the bytes

# continent, country's code and name, time zone, and of each city: region's code, region, city, latitude, longitude.
# No whole degrees: the writer would store 10.0 and the number 10 as one.
COUNTRIES = [
    ("EU", "XA", "Aldermark", "Europe/Berlin", [
        ("NO", "Norden", "Aldersund", 54.32, 10.14), ("SU", "Süden", "Weißbrück", 48.14, 11.58), ("NO", "Norden", "Havn", 54.79, 9.43)]),
    ("EU", "XB", "Belmonte", "Europe/Rome", [
        ("CO", "Costa", "Portoverde", 43.72, 7.26), ("MO", "Monti", "Altavilla", 44.07, 7.62)]),
    ("NA", "XC", "Carrowell", "America/New_York", [
        ("ER", "East River", "Fairhollow", 41.52, -73.98), ("LK", "Lakeland", "Millport", 42.88, -78.88), ("LK", "Lakeland", "Stillwater Bay", 43.16, -77.61)]),
    ("SA", "XD", "Doralia", "America/Sao_Paulo", [
        ("SE", "Serra", "São Brás", -22.91, -43.17), ("PL", "Planalto", "Nova Aurora", -15.78, -47.93)]),
    ("AS", "XE", "Enzan", "Asia/Tokyo", [
        ("KT", "Kita", "Aoshima", 43.06, 141.35), ("MN", "Minami", "Shirahama", 33.59, 130.41)]),
    ("AF", "XF", "Fanara", "Africa/Nairobi", [("UP", "Uplands", "Kilindi", -1.29, 36.82)]),
    ("OC", "XG", "Gullandra", "Australia/Sydney", [
        ("CB", "Coral Bay", "Port Ellis", -33.87, 151.21), ("IN", "Inland", "Redgum", -35.31, 149.13)]),
]
OPERATORS = [
    (64496, "Aldersund Fibre"), (64497, "Portoverde Telecom"), (64499, "Lakeland Cable"), (64500, "Serra Móvel"),
    (64503, "Kita Broadband"), (64507, "Example Cloud"), (65536, "Gullandra Mobile"), (65551, "Example Transit"),
]

# Each is cut into pieces of the second length. The last piece of each stays unknown.
NETWORKS = [("203.0.113.0/24", 28), ("198.51.100.0/24", 28), ("192.0.2.0/24", 28), ("198.18.0.0/15", 22), ("2001:db8::/32", 39)]


class Writer(MMDBWriter):
    def _build_meta(self):
        return super()._build_meta() | {"build_epoch": BUILT}


def place(number: int) -> dict:
    """A record as GeoLite2 has it, of City and of ASN in one. Of each twelfth piece only the country is known."""
    continent, code, country, time_zone, cities = COUNTRIES[number % len(COUNTRIES)]
    region_code, region, city, latitude, longitude = cities[number // len(COUNTRIES) % len(cities)]
    asn, operator = OPERATORS[number * 5 % len(OPERATORS)]
    record = {
        "autonomous_system_number": asn,
        "autonomous_system_organization": operator,
        "continent": {"code": continent},
        "country": {"iso_code": code, "names": {"en": country}},
    }
    if number % 12 != 11:
        record["city"] = {"names": {"en": city}}
        record["location"] = {"latitude": latitude, "longitude": longitude, "time_zone": time_zone}
        record["subdivisions"] = [{"iso_code": region_code, "names": {"en": region}}]
    return record


def main() -> None:
    writer = Writer(
        ip_version=6, ipv4_compatible=True, database_type="Millrace-Demo-City", languages=["en"],
        description="Invented places for addresses that stand for nobody",
    )
    number = 0
    for network, length in NETWORKS:
        for piece in list(IPNetwork(network).subnet(length))[:-1]:
            writer.insert_network(IPSet([piece]), place(number))
            number += 1
    DATABASE.parent.mkdir(exist_ok=True)
    writer.to_db_file(str(DATABASE))
    print(f"{DATABASE.name}: {number} networks, {DATABASE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
