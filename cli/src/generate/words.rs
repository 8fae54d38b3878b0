//! The words that the shop's events are made of. No address and no name in here belongs to anybody: domains are those
//! of RFC 2606, networks those of RFC 5737, RFC 2544 and RFC 3849.

pub(super) const FIRST_NAMES: [&str; 16] = [
    "ann", "ben", "carla", "dev", "ewa", "farid", "grace", "hugo", "ines", "jonas", "kofi", "lena", "mei",
    "nora", "omar", "pia",
];
pub(super) const LAST_NAMES: [&str; 12] = [
    "albers", "brandt", "costa", "diaz", "eklund", "fischer", "gupta", "haddad", "ito", "jensen", "kowalski",
    "lopez",
];
pub(super) const MAIL_DOMAINS: [&str; 4] =
    ["example.com", "example.org", "mail.example.com", "post.example.org"];

pub(super) const COLOURS: [&str; 8] = ["blue", "brown", "green", "grey", "ochre", "red", "white", "black"];

/// What the shop sells: category, thing, price in cents.
pub(super) const PRODUCTS: [(&str, &str, i64); 20] = [
    ("bath", "soap dish", 890),
    ("bath", "linen towel", 2450),
    ("bath", "bath mat", 3400),
    ("garden", "watering can", 3990),
    ("garden", "seed box", 650),
    ("garden", "folding chair", 11_900),
    ("kitchen", "bread knife", 5600),
    ("kitchen", "cast iron pan", 8950),
    ("kitchen", "coffee grinder", 14_900),
    ("kitchen", "tea strainer", 795),
    ("kitchen", "oak board", 4200),
    ("light", "desk lamp", 12_900),
    ("light", "paper lantern", 1690),
    ("light", "candle set", 990),
    ("living", "wool blanket", 9900),
    ("living", "floor cushion", 5450),
    ("living", "wall clock", 6900),
    ("office", "fountain pen", 3850),
    ("office", "note book", 1250),
    ("office", "paper clips", 380),
];

pub(super) const BUTTONS: [&str; 6] =
    ["Show all colours", "Size guide", "Read the reviews", "Compare", "Delivery and returns", "Next picture"];
pub(super) const REMARKS: [&str; 6] = [
    "Please wrap it as a present",
    "Leave it with the neighbours – thank you!",
    "Bitte klingeln, 3. Stock",
    "¿Llega antes del viernes?",
    "贈り物です",
    "No plastic, please \"if you can\"",
];

/// Where visitors come from: a page, and the campaign whose source and medium its links carry.
pub(super) const REFERRERS: [(&str, &str, &str); 6] = [
    ("https://search.example.net/results", "search", "cpc"),
    ("https://search.example.net/results", "search", "organic"),
    ("https://news.example.org/weekend-guide", "news", "referral"),
    ("https://social.example.net/feed", "social", "paid_social"),
    ("https://mail.example.org/inbox/read", "newsletter", "email"),
    ("https://partner.example.com/offers/home", "partner", "affiliate"),
];
pub(super) const CAMPAIGNS: [&str; 5] =
    ["black_friday_2026", "autumn_lights", "new+kitchen", "welcome_back", "gifts%20under%2050"];

/// Browsers: the name that the shop's script reports, and the user agent.
pub(super) const BROWSERS: [(&str, &str); 9] = [
    (
        "Chrome",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    ),
    (
        "Chrome",
        "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36",
    ),
    (
        "Chrome",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
    ),
    (
        "Safari",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Mobile/15E148 Safari/604.1",
    ),
    (
        "Safari",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari/605.1.15",
    ),
    ("Firefox", "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0"),
    ("Firefox", "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"),
    (
        "Edge",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0",
    ),
    (
        "Samsung Internet",
        "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/29.0 Chrome/136.0.0.0 Mobile Safari/537.36",
    ),
];

pub(super) const BOTS: [&str; 6] = [
    "Mozilla/5.0 (compatible; ExampleBot/2.1; +https://bot.example.com/about.html)",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (compatible; Sample Web-Crawler/1.0; https://crawl.example.org)",
    "curl/8.15.0",
    "python-requests/2.32.5",
    "ExamplePriceSpider/3.4",
];
