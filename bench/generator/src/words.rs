//! What the events are made of.

/// What happened, likelier ones first.
pub(crate) const EVENT_TYPES: &[&str] = &[
    "page_view",
    "product_view",
    "click",
    "scroll",
    "search",
    "add_to_cart",
    "remove_from_cart",
    "checkout",
    "purchase",
    "review",
    "sign_up",
    "video_play",
];

pub(crate) const SECTIONS: &[&str] =
    &["living", "bath", "kitchen", "garden", "light", "office", "kids", "sale", "new", "textiles"];

pub(crate) const PRODUCTS: &[&str] = &[
    "wool-blanket",
    "soap-dish",
    "paper-lantern",
    "oak-table",
    "linen-towel",
    "café-chair",
    "glass-vase",
    "desk-lamp",
    "copper-kettle",
    "plant-pot",
    "wall-clock",
    "book-shelf",
    "tea-set",
    "bread-box",
    "door-mat",
    "mirror",
];

pub(crate) const COLOURS: &[&str] =
    &["brown", "ochre", "red", "slate", "sand", "olive", "white", "black", "indigo", "rosé"];

pub(crate) const HOSTS: &[&str] = &[
    "shop.example.com",
    "shop.example.com",
    "shop.example.com",
    "www.example.com",
    "shop.example.de",
    "m.example.com",
    "outlet.example.org",
];

pub(crate) const FIRST_NAMES: &[&str] = &[
    "jonas", "ben", "ada", "Grace", "mia", "Noah", "lea", "emil", "zoe", "Ines", "omar", "yuki", "Sofia",
    "ivan", "ruth", "max",
];

pub(crate) const LAST_NAMES: &[&str] = &[
    "eklund", "diaz", "Lovelace", "hopper", "weber", "Rossi", "martin", "novak", "okafor", "tanaka", "silva",
    "Petrov", "klein", "moreau",
];

pub(crate) const MAIL_HOSTS: &[&str] =
    &["example.com", "example.org", "post.example.org", "Mail.Example.net", "corp.example.co.uk"];

/// Values of `utm_source`, `utm_medium` and `utm_campaign` as they stand in a query.
pub(crate) const SOURCES: &[&str] =
    &["news", "search", "partner", "newsletter", "social+paid", "caf%C3%A9", "", "Google", "qr%2Dcode"];
pub(crate) const MEDIUMS: &[&str] = &["cpc", "email", "referral", "affiliate", "display+ad", "banner%2F2"];
pub(crate) const CAMPAIGNS: &[&str] = &[
    "black_friday_2026",
    "gifts%20under%2050",
    "gifts+under+50",
    "spring%2Bsale",
    "h%C3%BCtte+%26+garten",
    "50%+off",
    "%F0%9F%8E%81",
    "back=to=school",
    "x%3d1",
];

pub(crate) const REFERRERS: &[&str] = &[
    "https://www.google.com/",
    "https://duckduckgo.com/",
    "https://partner.example.com/offers/home?ref=ebc4c1",
    "https://news.example.org/2026/11/deals",
    "android-app://com.example.mail/",
];

pub(crate) const LOCALES: &[&str] = &["en-US", "de-DE", "fr-FR", "ja-JP", "pt-BR", "sv-SE"];

/// Free text.
pub(crate) const TEXTS: &[&str] = &[
    "Next picture",
    "wool blanket \"soft\"",
    "größe 38, 2 Stück",
    "Where is my order?\nIt was promised for Monday.",
    "毛布 ウール",
    "call me at +49 30 1234567",
    "gift 🎁 for mum",
    "path C:\\temp\tand tabs",
    "does it fit 120 x 80 x 40?",
    "naïve question: is it real oak?",
    "",
];

/// Free text in which `{}` becomes a number, mostly that of a card.
pub(crate) const CARD_TEXTS: &[&str] = &[
    "my card is {}",
    "{}",
    "please charge {} and not the other one",
    "order {} has not arrived",
    "Karte: {}, gültig bis 12/29",
    "first {} then {}",
    "ref#{}/{}",
];

/// Lines that are not one JSON object.
pub(crate) const NO_OBJECTS: &[&str] = &[
    "GET /healthz HTTP/1.1 200 0.004",
    "\"add_to_cart\"",
    "null",
    "42",
    "{id:1}",
    "{'id':'a'}",
    "{\"id\":\"a\"}{\"id\":\"b\"}",
    "{\"id\":\"a\" \"eventType\":\"b\"}",
    "\u{fffd}\u{fffd}PNG",
    "{\"id\":\"a\",\"eventType\":tru}",
];

/// Timestamps that the rules do not take.
pub(crate) const BAD_TIMES: &[&str] = &[
    "yesterday",
    "20/11/2026 noon",
    "2026-02-30T10:00:00Z",
    "2026-13-01T10:00:00Z",
    "2026-11-18T24:30:00Z",
    "2026-11-18T10:61:00Z",
    "2026-11-18T10:00:00",
    "2026-11-18",
    "2026-11-18T10:00Z",
    "2026-11-18T10:00:00.Z",
    "2026-11-18T10:00:00+1",
    "2027-02-29 10:00:00Z",
    "Wed, 18 Nov 2026 10:00:00 GMT",
];

/// What stands for an address that is none of IPv4.
pub(crate) const BAD_IPS: &[&str] =
    &["unknown", "", "10.0.0", "1.2.3.4.5", "203.0.113.7:443", "localhost", "1.2.3.x"];

pub(crate) const BOTS: &[&str] = &[
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm) Chrome/136.0.0.0 Safari/537.36",
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    "Mozilla/5.0 (compatible; Yahoo! Slurp; http://help.yahoo.com/help/us/ysearch/slurp)",
    "Mozilla/5.0 (compatible; Baiduspider/2.0; +http://www.baidu.com/search/spider.html)",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/141.0.0.0 Safari/537.36",
    "python-requests/2.32.5",
    "curl/8.14.1",
    "Wget/1.25.0",
    "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)",
    "SITE-CRAWLER/3",
];

/// Android devices, as their user agents name them.
pub(crate) const DEVICES: &[&str] = &[
    "K",
    "SM-S928B",
    "SM-G991B",
    "SM-A546E",
    "SM-A155F",
    "Pixel 9 Pro",
    "Pixel 8",
    "Pixel 7a",
    "Pixel 6",
    "2201117TG",
    "M2101K6G",
    "23021RAAEG",
    "moto g(60)",
    "moto g84 5G",
    "CPH2449",
    "CPH2211",
    "LE2113",
    "NE2213",
    "V2144",
    "RMX3630",
    "TECNO KI5q",
    "Infinix X6525",
    "Nokia G42 5G",
    "XQ-DQ54",
];
