//! Whether a program sent an event, or a person: by its user agent.
//!
//! A bot that does not say what it is passes for a browser; this finds those that do. The list is our own: what the
//! crates carry (`isbot`, `woothee`) has not been released since 2022 and 2021, and a list is all that is wanted of them.
//! `local/user_agents.py` measures how much of others' lists it finds.

use crate::matcher::{Case, Words};
use std::sync::LazyLock;

/// What stands in the user agents of crawlers, monitors, link previews, HTTP libraries and steered browsers.
///
/// Apps are no bots, though `okhttp` or `CFNetwork` is all that some of them send. At most 64 words: see `matcher`.
const WORDS: [&str; 64] = [
    // The page that tells what they do: no browser has one.
    "://",
    // What they call themselves.
    "bot",
    "crawl",
    "spider",
    "slurp",
    "scrap",
    "fetcher",
    "archive",
    "validator",
    "preview",
    "synthetic",
    // Crawlers, of search engines and of language models, that do not.
    "mediapartners-google",
    "google-",
    "googleother",
    "apis-google",
    "facebookexternalhit",
    "facebookcatalog",
    "meta-external",
    "chatgpt-user",
    "claude-",
    "anthropic-ai",
    "perplexity",
    "cohere-ai",
    "nutch",
    "whatsapp/",
    // Monitors and scanners.
    "lighthouse",
    "pagespeed",
    "gtmetrix",
    "pingdom",
    "site24x7",
    "statuscake",
    "uptime",
    "zgrab",
    "nikto",
    "nuclei",
    "dataprovider",
    "jmeter",
    "apachebench",
    "ptst/",
    // Browsers without a person.
    "headless",
    "phantomjs",
    "puppeteer",
    "playwright",
    "selenium",
    // HTTP libraries.
    "curl/",
    "wget",
    "python",
    "httpx",
    "go-http-client",
    "java/",
    "libwww",
    "httpclient",
    "axios",
    "node-fetch",
    "undici",
    "postman",
    "guzzle",
    "faraday",
    "winhttp",
    "httpie",
    "insomnia",
    "restsharp",
    "reqwest",
    "http.rb",
];

static BOTS: LazyLock<Patterns> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "a test builds it")]
    Patterns::new(WORDS.map(str::to_owned).to_vec()).expect("words of our own are neither none nor empty")
});

/// What HTTP libraries say of themselves and no more: too short to be looked for within a text.
const WHOLE: [&str; 4] = ["node", "ruby", "curl", "whatsapp"];

/// A phone and a country, which networks are named after.
const HARMLESS: [&str; 2] = ["cubot", "botswana"];

/// Whether the user agent tells of a program that acts by itself.
pub(crate) fn is_bot(user_agent: &str) -> bool {
    WHOLE.iter().any(|name| name.eq_ignore_ascii_case(user_agent))
        || BOTS.are_in(user_agent) && {
            let mut rest = user_agent.to_ascii_lowercase();
            for name in HARMLESS {
                if rest.contains(name) {
                    rest = rest.replace(name, "");
                }
            }
            rest.len() == user_agent.len() || BOTS.are_in(&rest)
        }
}

/// Where the first token that tells it stands: `Googlebot/2.1`, not the address of its page. Where only the address
/// tells it, the first token, or that behind `compatible`.
pub(crate) fn token(user_agent: &str) -> Option<&str> {
    let tokens = |text| str::split(text, [' ', ';', ',', '(', ')', '[', ']', '"']);
    let is_name = |token: &&str| !token.is_empty() && !token.contains("://") && !token.contains('@');
    tokens(user_agent).find(|token| is_name(token) && is_bot(token)).or_else(|| {
        let named = match user_agent.split_once("compatible;") {
            Some((_, behind)) => behind,
            None if user_agent.starts_with("Mozilla/") => return None,
            None => user_agent,
        };
        tokens(named).find(is_name).filter(|_| is_bot(user_agent))
    })
}

/// Words, any of which in a text will do, with case ignored: what a pipeline lists.
#[derive(Debug)]
pub(crate) struct Patterns(Words);

impl Patterns {
    /// The error tells what is wrong with the list.
    #[expect(clippy::needless_pass_by_value, reason = "that is what a settings file gives")]
    pub(crate) fn new(words: Vec<String>) -> Result<Self, String> {
        Words::new(&words, Case::Ignored).map(Self)
    }

    pub(crate) fn are_in(&self, text: &str) -> bool {
        self.0.are_in(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_told_from_people() {
        for bot in [
            "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
            "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.1; +https://openai.com/gptbot)",
            "Mozilla/5.0 (compatible; Yahoo! Slurp; http://help.yahoo.com/help/us/ysearch/slurp)",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/126.0 Safari/537.36",
            "facebookexternalhit/1.1",
            "Google-InspectionTool/1.0",
            "curl/8.5.0",
            "python-requests/2.32.5",
            "Python/3.12 aiohttp/3.9.5",
            "Go-http-client/2.0",
            "PostmanRuntime/7.39.0",
            "Ruby",
            "node",
            "Faraday v2.7.4",
            "got (https://github.com/sindresorhus/got)",
            "Mozilla/4.0 (compatible; Win32; WinHttp.WinHttpRequest.5)",
            "Iframely/1.3.1 (+https://iframely.com/docs/about)",
            "Nuclei - Open-source project (github.com/projectdiscovery/nuclei)",
            "Mozilla/5.0 (compatible; Dataprovider.com)",
            "Mozilla/5.0 (Linux; Android 9; CUBOT X19) Chrome/99.0 (compatible; Googlebot/2.1)",
        ] {
            assert!(is_bot(bot), "{bot}");
        }
        for person in [
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) GSA/320.0 Mobile/15E148 Safari/604.1",
            "Mozilla/5.0 (Linux; Android 9; CUBOT_X19) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/99.0 Mobile Safari/537.36",
            "Mozilla/5.0 (iPhone; CPU iPhone OS 11_4_1 like Mac OS X) Mobile/15G77 [FBAN/FBIOS;FBCR/OrangeBotswana]",
            "okhttp/4.12.0",
            "Dart/3.4 (dart:io)",
            "Mozilla/5.0 (Linux; Android 13; node ruby) AppleWebKit/537.36 Chrome/126.0 Mobile Safari/537.36",
            "",
        ] {
            assert!(!is_bot(person), "{person}");
        }
    }

    #[test]
    fn a_bot_has_a_name() {
        let named = "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm) Chrome/116.0";
        assert_eq!(token(named), Some("bingbot/2.0"));
        assert_eq!(token("Mozilla/5.0 (+https://crawler.example.com)"), None);
        assert_eq!(
            token("Mozilla/5.0 (compatible; Miniflux/2.0; +https://miniflux.net)"),
            Some("Miniflux/2.0")
        );
        assert_eq!(token("Iframely/1.3.1 (+https://iframely.com/docs/about)"), Some("Iframely/1.3.1"));
        assert_eq!(token("Mozilla/5.0 (compatible; MSIE 9.0; Windows NT 6.1)"), None);
    }

    #[test]
    fn a_pipeline_lists_its_own() {
        let list = "bot|crawl|curl/|HeadlessChrome".split('|').map(str::to_owned).collect();
        let patterns = Patterns::new(list).unwrap();
        assert!(patterns.are_in("AnyBOT") && patterns.are_in("x headlesschrome/1"));
        assert!(!patterns.are_in("Mozilla/5.0"));
        assert!(Patterns::new(vec![]).is_err() && Patterns::new(vec![String::new()]).is_err());
    }
}
