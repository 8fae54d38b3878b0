//! What a user agent tells: the browser, the system, the kind of device.
//!
//! Read here rather than by a crate, of which none would do:
//!
//! | | first use | memory | each | |
//! | --- | --- | --- | --- | --- |
//! | `ua-parser` 0.2 with uap-core | 350 ms | 27 MB | 28 µs | compiles 1270 regular expressions; has no kind of device |
//! | `uaparser` 0.6 with uap-core | 1030 ms | 220 MB | 1.5 ms | the same |
//! | `woothee` 0.13 | 1 ms | 2 MB | 4 µs | not released since 2021; knows no tablet and no television |
//! | this | 0.2 ms | 0.3 MB | 1.5 µs | |
//!
//! Measured on a whole core; a function has a fraction of one, and its first event waits for the first use. The price
//! is that the families below are all there are: another Chromium is told as `Chrome`, an app by what it calls itself.
//!
//! Versions stay as they are told, and what is not told is `None`. Browsers say less than one may think: Windows 11 says
//! `10`, macOS `10.15.7`, Chrome on Android `10`, and an iPad that asks for desktop pages is a Mac.

use crate::bots;
use crate::matcher::{Case, Words};
use std::borrow::Cow;
use std::sync::LazyLock;

/// What is longer is no version and no name.
const TOKEN_BYTES_MAX: usize = 48;

/// What a user agent tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Agent<'a> {
    /// `Chrome`, `Samsung Internet`; of a bot or an app what it calls itself.
    pub(crate) browser: Option<&'a str>,
    /// As told: `126.0.0.0`.
    pub(crate) browser_version: Option<&'a str>,
    /// `Windows`, `macOS`, `iOS`, `Android`, `Linux`, `Chrome OS` …
    pub(crate) os: Option<&'static str>,
    /// `10`, `17.5.1`.
    pub(crate) os_version: Option<Cow<'a, str>>,
    pub(crate) device: Device,
}

/// What it runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Device {
    Desktop,
    Mobile,
    Tablet,
    Tv,
    Console,
    /// Nobody looks at it: see [`bots::is_bot`].
    Bot,
    Other,
}

impl Device {
    /// As it stands in an event.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Desktop => "desktop",
            Self::Mobile => "mobile",
            Self::Tablet => "tablet",
            Self::Tv => "tv",
            Self::Console => "console",
            Self::Bot => "bot",
            Self::Other => "other",
        }
    }
}

/// Names by the words that tell them; the first in the list wins.
struct Table<const N: usize> {
    rows: &'static [(&'static str, &'static str); N],
    words: Words,
}

impl<const N: usize> Table<N> {
    fn new(rows: &'static [(&'static str, &'static str); N]) -> Self {
        #[expect(clippy::expect_used, reason = "a test builds them all")]
        let words = Words::new(&rows.map(|(word, _)| word), Case::Sensitive)
            .expect("tables of our own have rows, and none without a word");
        Self { rows, words }
    }

    /// The word, the name, and the text behind the word.
    fn first_in<'a>(&self, text: &'a str) -> Option<(&'static str, &'static str, &'a str)> {
        let found = self.words.first_in(text)?;
        let (word, name) = *self.rows.get(found.word)?;
        Some((word, name, text.get(found.at + word.len()..)?))
    }
}

/// What builds on another names it too, so it stands before it: apps, then browsers on Chromium, then Chromium.
const BROWSERS: [(&str, &str); 51] = [
    ("Instagram ", "Instagram"),
    ("FBAV/", "Facebook"),
    ("FBAN/", "Facebook"),
    ("musical_ly_", "TikTok"),
    ("BytedanceWebview/", "TikTok"),
    ("Snapchat/", "Snapchat"),
    ("Pinterest/", "Pinterest"),
    ("LinkedInApp", "LinkedIn"),
    ("MicroMessenger/", "WeChat"),
    (" Line/", "LINE"),
    ("GSA/", "Google App"),
    ("EdgA/", "Edge"),
    ("EdgiOS/", "Edge"),
    ("Edg/", "Edge"),
    ("Edge/", "Edge"),
    ("OPR/", "Opera"),
    ("OPT/", "Opera"),
    ("OPiOS/", "Opera"),
    ("OPX/", "Opera"),
    ("Opera Mini/", "Opera Mini"),
    ("Opera", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("YaBrowser/", "Yandex Browser"),
    ("Vivaldi/", "Vivaldi"),
    ("Brave/", "Brave"),
    ("Whale/", "Whale"),
    ("UCBrowser/", "UC Browser"),
    ("MiuiBrowser/", "Mi Browser"),
    ("HuaweiBrowser/", "Huawei Browser"),
    ("HeyTapBrowser/", "HeyTap Browser"),
    ("VivoBrowser/", "Vivo Browser"),
    ("QQBrowser/", "QQ Browser"),
    ("Silk/", "Amazon Silk"),
    ("DuckDuckGo/", "DuckDuckGo"),
    ("Ddg/", "DuckDuckGo"),
    ("Ecosia", "Ecosia"),
    ("Electron/", "Electron"),
    ("NintendoBrowser/", "Nintendo Browser"),
    ("Focus/", "Firefox Focus"),
    ("FxiOS/", "Firefox"),
    ("SeaMonkey/", "SeaMonkey"),
    ("PaleMoon/", "Pale Moon"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chromium/", "Chromium"),
    ("; wv)", "Android WebView"),
    ("Chrome/", "Chrome"),
    ("Epiphany/", "Epiphany"),
    ("Trident/", "Internet Explorer"),
    ("MSIE ", "Internet Explorer"),
    ("Safari/", "Safari"),
];

/// Those that claim to be like another stand before it: `Windows Phone 10.0; Android`, `iPhone OS 17_5 like Mac OS X`.
const SYSTEMS: [(&str, &str); 29] = [
    ("Windows Phone ", "Windows Phone"),
    ("Windows NT ", "Windows"),
    ("Web0S", "webOS"),
    ("webOS", "webOS"),
    ("Tizen ", "Tizen"),
    ("Tizen", "Tizen"),
    ("KAIOS/", "KaiOS"),
    ("OpenHarmony ", "HarmonyOS"),
    ("HarmonyOS", "HarmonyOS"),
    ("tvOS ", "tvOS"),
    ("tvOS/", "tvOS"),
    ("iPhone OS ", "iOS"),
    ("CPU OS ", "iOS"),
    (" iOS ", "iOS"),
    ("iPadOS ", "iOS"),
    ("iPhone", "iOS"),
    ("iPad", "iOS"),
    ("Android ", "Android"),
    ("Android", "Android"),
    ("CrOS ", "Chrome OS"),
    ("Mac OS X ", "macOS"),
    ("Macintosh", "macOS"),
    ("PlayStation", "PlayStation"),
    ("Nintendo", "Nintendo"),
    ("FreeBSD", "FreeBSD"),
    ("OpenBSD", "OpenBSD"),
    ("Windows", "Windows"),
    ("Linux", "Linux"),
    ("X11", "Linux"),
];

/// The second column is a letter: **c**onsole, t**v**, **t**ablet, **m**obile, **d**esktop, or **a** for Android, which
/// says `Mobile` on a phone.
const DEVICES: [(&str, &str); 43] = [
    ("PlayStation", "c"),
    ("Xbox", "c"),
    ("Nintendo", "c"),
    ("SMART-TV", "v"),
    ("SmartTV", "v"),
    ("Smart-TV", "v"),
    ("Smart TV", "v"),
    ("Web0S", "v"),
    ("AppleTV", "v"),
    ("Apple TV", "v"),
    ("tvOS", "v"),
    ("GoogleTV", "v"),
    ("Google TV", "v"),
    ("Android TV", "v"),
    ("BRAVIA", "v"),
    ("CrKey/", "v"),
    ("Chromecast", "v"),
    ("Roku", "v"),
    ("HbbTV", "v"),
    ("NetCast", "v"),
    ("VIDAA", "v"),
    ("MiTV", "v"),
    ("MIBOX", "v"),
    ("; AFT", "v"), // Fire TV
    ("iPad", "t"),
    ("Tablet", "t"),
    ("Kindle", "t"),
    ("PlayBook", "t"),
    ("; KF", "t"), // Fire tablets
    ("; SM-T", "t"),
    ("; SM-X", "t"),
    ("iPhone", "m"),
    ("iPod", "m"),
    ("Windows Phone", "m"),
    ("Opera M", "m"), // Mini and Mobi
    ("Dalvik/", "m"),
    ("KAIOS/", "m"),
    ("Android", "a"),
    ("Windows", "d"),
    ("Macintosh", "d"),
    ("CrOS", "d"),
    ("X11", "d"),
    ("Linux", "d"),
];

static TABLES: LazyLock<(Table<51>, Table<29>, Table<43>)> =
    LazyLock::new(|| (Table::new(&BROWSERS), Table::new(&SYSTEMS), Table::new(&DEVICES)));

/// What the user agent tells. Built at first use; takes a microsecond or two then.
pub(crate) fn read(text: &str) -> Agent<'_> {
    let (browsers, systems, devices) = &*TABLES;
    let bot = bots::is_bot(text);
    let (browser, browser_version) = if bot { bot_name(text) } else { browser(text, browsers) };
    let (os, os_version) = system(text, systems);
    let device = if bot { Device::Bot } else { device(text, devices) };
    Agent { browser, browser_version, os, os_version, device }
}

fn bot_name(text: &str) -> (Option<&str>, Option<&str>) {
    bots::token(text).and_then(product).map_or((None, None), |(name, version)| (Some(name), version))
}

fn browser<'a>(text: &'a str, browsers: &Table<51>) -> (Option<&'a str>, Option<&'a str>) {
    let Some((word, name, behind)) = browsers.first_in(text) else {
        return if !text.starts_with("Mozilla/") {
            // An app with a name of its own: `Shop/4.2 (iPhone; iOS 17.5; Scale/3.00)`.
            let own = text.split(' ').next().and_then(product);
            own.map_or((None, None), |(name, version)| (Some(name), version))
        } else if text.contains("AppleWebKit/") && text.contains("Mobile/") {
            (Some("iOS WebView"), None)
        } else {
            (None, None)
        };
    };
    let version = match word {
        "FBAN/" | "LinkedInApp" | "Ecosia" => None,
        "; wv)" => after(text, "Chrome/"),
        "Safari/" => after(text, "Version/"),
        // Later ones say 9.80 in front for ever.
        "Opera" => after(text, "Version/").or_else(|| version(behind.trim_start_matches(['/', ' ']))),
        // Trident tells the true one when the browser poses as an older.
        "Trident/" => match version(behind) {
            Some("7.0") => Some("11.0"),
            Some("6.0") => Some("10.0"),
            Some("5.0") => Some("9.0"),
            Some("4.0") => Some("8.0"),
            _ => after(text, "MSIE "),
        },
        _ => version(behind),
    };
    (Some(name), version)
}

fn system<'a>(text: &'a str, systems: &Table<29>) -> (Option<&'static str>, Option<Cow<'a, str>>) {
    let Some((word, name, behind)) = systems.first_in(text) else { return (None, None) };
    let version = match word {
        "Windows NT " => version(behind).map(|nt| {
            Cow::Borrowed(match nt {
                "10.0" => "10",
                "6.3" => "8.1",
                "6.2" => "8",
                "6.1" => "7",
                "6.0" => "Vista",
                "5.1" | "5.2" => "XP",
                other => other,
            })
        }),
        "iPhone OS " | "CPU OS " | "Mac OS X " => version(behind).map(|version| {
            if version.contains('_') { version.replace('_', ".").into() } else { version.into() }
        }),
        // `CrOS x86_64 14541.0.0`
        "CrOS " => behind.split_once(' ').and_then(|(_, behind)| version(behind)).map(Cow::Borrowed),
        // `PlayStation 5/6.50`
        "PlayStation" => behind.split_once('/').and_then(|(_, behind)| version(behind)).map(Cow::Borrowed),
        // `HarmonyOS; TAS-AL00` or `HarmonyOS 4.0`; the others without a blank have no version behind them.
        "HarmonyOS" => behind.strip_prefix(' ').and_then(version).map(Cow::Borrowed),
        _ if word.ends_with([' ', '/']) => version(behind).map(Cow::Borrowed),
        _ => None,
    };
    (Some(name), version)
}

fn device(text: &str, devices: &Table<43>) -> Device {
    match devices.first_in(text).map(|(_, kind, _)| kind) {
        Some("c") => Device::Console,
        Some("v") => Device::Tv,
        Some("m") => Device::Mobile,
        Some("a") if text.contains("TV") => Device::Tv,
        Some("a") if text.contains("Mobile") || !text.starts_with("Mozilla/") => Device::Mobile,
        Some("t" | "a") => Device::Tablet,
        Some("d") => Device::Desktop,
        _ if text.contains("Mobile") => Device::Mobile,
        _ => Device::Other,
    }
}

fn after<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let (_, behind) = text.split_once(word)?;
    version(behind)
}

/// The version that the text begins with.
fn version(text: &str) -> Option<&str> {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')));
    let version = &text[..end.unwrap_or(text.len())];
    let told = version.starts_with(|c: char| c.is_ascii_digit()) && version.len() <= TOKEN_BYTES_MAX;
    told.then_some(version)
}

/// `name/version`, or a name alone.
fn product(token: &str) -> Option<(&str, Option<&str>)> {
    let (name, rest) = token.split_once('/').unwrap_or((token, ""));
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '!' | '+');
    let named = (1..=TOKEN_BYTES_MAX).contains(&name.len()) && name.chars().all(plain);
    named.then(|| (name, version(rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `browser version / system version / device`.
    fn told(text: &str) -> String {
        let agent = read(text);
        let or_not = |told: Option<&str>| told.unwrap_or("-").to_owned();
        format!(
            "{} {} / {} {} / {}",
            or_not(agent.browser),
            or_not(agent.browser_version),
            or_not(agent.os),
            or_not(agent.os_version.as_deref()),
            agent.device.as_str()
        )
    }

    #[test]
    fn what_browsers_tell() {
        const WEBKIT: &str = "AppleWebKit/537.36 (KHTML, like Gecko)";
        const APPLE: &str = "AppleWebKit/605.1.15 (KHTML, like Gecko)";
        for (text, expected) in [
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) {w} Chrome/126.0.0.0 Safari/537.36",
                "Chrome 126.0.0.0 / Windows 10 / desktop",
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {w} Chrome/141.0.0.0 Safari/537.36",
                "Chrome 141.0.0.0 / macOS 10.15.7 / desktop",
            ),
            (
                "Mozilla/5.0 (X11; Linux x86_64) {w} Chrome/124.0.0.0 Safari/537.36",
                "Chrome 124.0.0.0 / Linux - / desktop",
            ),
            (
                "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {w} Chrome/125.0.0.0 Safari/537.36",
                "Chrome 125.0.0.0 / Chrome OS 14541.0.0 / desktop",
            ),
            (
                "Mozilla/5.0 (Linux; Android 10; K) {w} Chrome/126.0.0.0 Mobile Safari/537.36",
                "Chrome 126.0.0.0 / Android 10 / mobile",
            ),
            (
                "Mozilla/5.0 (Linux; Android 10; K) {w} Chrome/126.0.0.0 Safari/537.36",
                "Chrome 126.0.0.0 / Android 10 / tablet",
            ),
            (
                "Mozilla/5.0 (Linux; Android 14; Pixel 8 Build/UD1A; wv) {w} Version/4.0 Chrome/126.0.6478.71 Mobile Safari/537.36",
                "Android WebView 126.0.6478.71 / Android 14 / mobile",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) {w} Chrome/126.0.0.0 Safari/537.36 Edg/126.0.2592.68",
                "Edge 126.0.2592.68 / Windows 10 / desktop",
            ),
            (
                "Mozilla/5.0 (Linux; Android 10; HD1913) {w} Chrome/126.0.6478.71 Mobile Safari/537.36 EdgA/125.0.2535.96",
                "Edge 125.0.2535.96 / Android 10 / mobile",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X) {a} Version/17.0 EdgiOS/125.2535.96 Mobile/15E148 Safari/605.1.15",
                "Edge 125.2535.96 / iOS 17.5.1 / mobile",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X) {a} Version/17.5 Mobile/15E148 Safari/604.1",
                "Safari 17.5 / iOS 17.5.1 / mobile",
            ),
            (
                "Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) {a} Version/16.6 Mobile/15E148 Safari/604.1",
                "Safari 16.6 / iOS 16.6 / tablet",
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {a} Version/26.0 Safari/605.1.15",
                "Safari 26.0 / macOS 10.15.7 / desktop",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) {a} CriOS/126.0.6478.54 Mobile/15E148 Safari/604.1",
                "Chrome 126.0.6478.54 / iOS 17.5 / mobile",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) {a} FxiOS/127.0 Mobile/15E148 Safari/605.1.15",
                "Firefox 127.0 / iOS 17.5 / mobile",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) {a} Mobile/15E148",
                "iOS WebView - / iOS 17.5 / mobile",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:127.0) Gecko/20100101 Firefox/127.0",
                "Firefox 127.0 / Windows 10 / desktop",
            ),
            (
                "Mozilla/5.0 (Android 14; Mobile; rv:127.0) Gecko/127.0 Firefox/127.0",
                "Firefox 127.0 / Android 14 / mobile",
            ),
            (
                "Mozilla/5.0 (Android 14; Tablet; rv:127.0) Gecko/127.0 Firefox/127.0",
                "Firefox 127.0 / Android 14 / tablet",
            ),
            (
                "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
                "Firefox 127.0 / Linux - / desktop",
            ),
            (
                "Mozilla/5.0 (Linux; Android 13; SM-S918B) {w} SamsungBrowser/25.0 Chrome/121.0.0.0 Mobile Safari/537.36",
                "Samsung Internet 25.0 / Android 13 / mobile",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) {w} Chrome/125.0.0.0 Safari/537.36 OPR/111.0.0.0",
                "Opera 111.0.0.0 / Windows 10 / desktop",
            ),
            (
                "Opera/9.80 (Windows NT 6.1; WOW64) Presto/2.12.388 Version/12.16",
                "Opera 12.16 / Windows 7 / desktop",
            ),
            ("Opera/9.30 (Nintendo Wii; U; ; 3642; en)", "Opera 9.30 / Nintendo - / console"),
            (
                "Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko",
                "Internet Explorer 11.0 / Windows 10 / desktop",
            ),
            (
                "Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1)",
                "Internet Explorer 6.0 / Windows XP / desktop",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X) {a} Mobile/15E148 Instagram 337.0.3.23.54 (iPhone15,2; iOS 17_5_1; en_US)",
                "Instagram 337.0.3.23.54 / iOS 17.5.1 / mobile",
            ),
            (
                "Mozilla/5.0 (Linux; Android 14; Pixel 8; wv) {w} Version/4.0 Chrome/126.0.6478.71 Mobile Safari/537.36 [FB_IAB/FB4A;FBAV/468.0.0.54.80;]",
                "Facebook 468.0.0.54.80 / Android 14 / mobile",
            ),
        ] {
            assert_eq!(told(&text.replace("{w}", WEBKIT).replace("{a}", APPLE)), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_desk_and_no_hand_tells() {
        for (text, expected) in [
            (
                "Mozilla/5.0 (SMART-TV; LINUX; Tizen 6.0) AppleWebKit/537.36 (KHTML, like Gecko) 76.0.3809.146/6.0 TV Safari/537.36",
                "Safari - / Tizen 6.0 / tv",
            ),
            (
                "Mozilla/5.0 (Web0S; Linux/SmartTV) AppleWebKit/537.36 Chrome/94.0.4606.128 Safari/537.36 WebAppManager",
                "Chrome 94.0.4606.128 / webOS - / tv",
            ),
            (
                "Mozilla/5.0 (Linux; Android 9; AFTKA) AppleWebKit/537.36 Silk/112.3.1 like Chrome/112.0.5615.213 Safari/537.36",
                "Amazon Silk 112.3.1 / Android 9 / tv",
            ),
            (
                "Mozilla/5.0 (Linux; Android 11; KFTRWI) AppleWebKit/537.36 Silk/112.3.1 like Chrome/112.0.5615.213 Safari/537.36",
                "Amazon Silk 112.3.1 / Android 11 / tablet",
            ),
            (
                "Mozilla/5.0 (PlayStation; PlayStation 5/6.50) AppleWebKit/605.1.15 Version/15.4 Safari/605.1.15",
                "Safari 15.4 / PlayStation 6.50 / console",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64; Xbox; Xbox One) Chrome/126.0.0.0 Safari/537.36 Edge/44.18363.8131",
                "Edge 44.18363.8131 / Windows 10 / console",
            ),
            (
                "Mozilla/5.0 (Nintendo Switch; WifiWebAuthApplet) AppleWebKit/606.4 NF/6.0.1.15.4 NintendoBrowser/5.1.0.20393",
                "Nintendo Browser 5.1.0.20393 / Nintendo - / console",
            ),
        ] {
            assert_eq!(told(text), expected, "{text}");
        }
    }

    #[test]
    fn bots_and_apps_are_what_they_call_themselves() {
        for (text, expected) in [
            (
                "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
                "Googlebot 2.1 / - - / bot",
            ),
            (
                "Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) AppleWebKit/537.36 Chrome/126.0.6478.114 Mobile Safari/537.36 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
                "Googlebot 2.1 / Android 6.0.1 / bot",
            ),
            (
                "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.1; +https://openai.com/gptbot)",
                "GPTBot 1.1 / - - / bot",
            ),
            (
                "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; ClaudeBot/1.0; +claudebot@anthropic.com)",
                "ClaudeBot 1.0 / - - / bot",
            ),
            (
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/142.0.0.0 Safari/537.36",
                "HeadlessChrome 142.0.0.0 / Linux - / bot",
            ),
            (
                "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
                "facebookexternalhit 1.1 / - - / bot",
            ),
            ("curl/8.5.0", "curl 8.5.0 / - - / bot"),
            ("python-requests/2.32.5", "python-requests 2.32.5 / - - / bot"),
            ("ExamplePriceSpider/3.4", "ExamplePriceSpider 3.4 / - - / bot"),
            ("okhttp/4.12.0", "okhttp 4.12.0 / - - / other"),
            ("Shop/4.2 (iPhone; iOS 17.5; Scale/3.00)", "Shop 4.2 / iOS 17.5 / mobile"),
            ("Dalvik/2.1.0 (Linux; U; Android 13; SM-G991B)", "Dalvik 2.1.0 / Android 13 / mobile"),
        ] {
            assert_eq!(told(text), expected, "{text}");
        }
    }

    #[test]
    fn what_tells_nothing_gives_nothing() {
        for text in ["", " ", "/", "Mozilla/5.0", "ann@example.com", "日本語", "(;;;)", &"x".repeat(5000)]
        {
            assert_eq!(told(text), "- - / - - / other", "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(text in "(Android |CrOS |OPR/|; wv\\)|MSIE |Trident/|PlayStation|[é0-9./_; (]){0,9}") {
            read(&text);
        }
    }
}
