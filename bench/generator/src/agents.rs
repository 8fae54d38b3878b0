//! User agents as browsers send them: a few are on everybody's machine, many are rare.

use crate::words;
use fastrand::Rng;

/// A user agent and what the browser calls itself.
pub(crate) fn agent(rng: &mut Rng) -> (&'static str, String) {
    // Most people have one of the latest versions.
    let age = rng.u32(..24).min(rng.u32(..24)).min(rng.u32(..24));
    let chrome = 143 - age;
    let desktop = pick(
        rng,
        &[
            "Windows NT 10.0; Win64; x64",
            "Windows NT 10.0; Win64; x64",
            "Macintosh; Intel Mac OS X 10_15_7",
            "X11; Linux x86_64",
            "X11; CrOS x86_64 14541.0.0",
        ],
    );
    let blink =
        format!("Mozilla/5.0 ({desktop}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{chrome}.0.0.0");
    let phone = format!(
        "Mozilla/5.0 (Linux; Android {}; {}) AppleWebKit/537.36 (KHTML, like Gecko)",
        16 - rng.u32(..7).min(rng.u32(..7)),
        pick(rng, words::DEVICES),
    );
    let (major, minor) = (18 - rng.u32(..3).min(rng.u32(..3)), rng.u32(..7));
    let device = pick(rng, &["iPhone; CPU iPhone", "iPhone; CPU iPhone", "iPhone; CPU iPhone", "iPad; CPU"]);
    let apple = format!(
        "Mozilla/5.0 ({device} OS {major}_{minor} like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
    );
    match rng.u32(..100) {
        0..30 => ("Chrome", format!("{blink} Safari/537.36")),
        30..48 => ("Chrome", format!("{phone} Chrome/{chrome}.0.0.0 Mobile Safari/537.36")),
        48..68 => ("Safari", format!("{apple} Version/{major}.{minor} Mobile/15E148 Safari/604.1")),
        68..74 => (
            "Safari",
            format!(
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                 Version/{major}.{minor} Safari/605.1.15"
            ),
        ),
        74..82 => ("Edge", format!("{blink} Safari/537.36 Edg/{chrome}.0.0.0")),
        82..88 => {
            let version = 145 - age;
            ("Firefox", format!("Mozilla/5.0 ({desktop}; rv:{version}.0) Gecko/20100101 Firefox/{version}.0"))
        }
        88..91 => (
            "Samsung Internet",
            format!("{phone} SamsungBrowser/{}.0 Chrome/{chrome}.0.0.0 Mobile Safari/537.36", 29 - age / 3),
        ),
        91..93 => ("Opera", format!("{blink} Safari/537.36 OPR/{}.0.0.0", chrome - 16)),
        93..95 => ("Chrome", format!("{apple} CriOS/{chrome}.0.7103.91 Mobile/15E148 Safari/604.1")),
        95 => ("Firefox", format!("{apple} FxiOS/{}.0 Mobile/15E148 Safari/605.1.15", 145 - age)),
        96 => ("Edge", format!("{phone} Chrome/{chrome}.0.0.0 Mobile Safari/537.36 EdgA/{chrome}.0.0.0")),
        97 => ("IE", "Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko".into()),
        98 => ("app", format!("ShopApp/5.{age}.1 (Android 15; {})", pick(rng, words::DEVICES))),
        _ => ("app", "okhttp/4.12.0".into()),
    }
}

/// One of the program's own words.
pub(crate) fn pick(rng: &mut Rng, from: &[&'static str]) -> &'static str {
    from[rng.usize(..from.len())]
}
