//! `enrich.sentiment`: whether a text speaks well or badly of its matter, by a list of words.
//!
//! ```toml
//! enrich.sentiment = { from = "text", into = "sentiment" }
//! ```
//!
//! ```toml
//! enrich.sentiment = { from = "text", into = "sentiment", lexicon = "data/words.csv", negations = ["nicht", "kein", "keine"] }
//! ```
//! `"Not good, and the box was broken"` gets `"sentiment": {"label": "negative", "score": -0.6711, "words": 2}`: `good` has 1.9, which the
//! `not` before it makes -1.406; `broken` has -2.1.
//!
//! | option | meaning |
//! | --- | --- |
//! | `from`, `into` | the field of the text, and the object of the answer |
//! | `lexicon` | a file beside `pipeline.toml`, which becomes part of the functions: CSV with the columns `word` and `score`, above 0 for good words and below for bad ones, up to some 4 either way. If not said, the English words of VADER (7,200 of them, by C. J. Hutto, MIT licence) |
//! | `negations` | words that turn the words behind them around; if not said, English ones (`not`, `never`, `no`, …, and all that end with `n't`) |
//!
//! The scores of the words in the text are added. One that has a negation among the three words before it, with no `.,;:!?` between them,
//! counts -0.74 times.
//! `score` is `s / √(s² + 15)` of the sum `s`, between -1 and 1, with four digits; `label` is `positive` from 0.05 on, `negative` up to -0.05,
//! else `neutral`; `words` says how many words of the text are in the list: where it is 0, nothing is known of it. Case does not
//! count. A word with hyphens that is not in the list counts by its parts.
//!
//! It is not subtle: it knows no irony, no emphasis and no grammar, and where several languages mix it knows one of them. But it is the same every day, and a
//! list that anybody can mend. Where the text is missing or no string nothing is set. What a producer had put under `into` goes
//! in any case. The step rejects nothing.

use super::object::{object, replace};
use super::settings::FromInto;
use super::{Context, Step, Touches, Verdict};
use crate::event::{Event, ItemPath};
use crate::files::{self, Files};
use crate::mistake::Mistake;
use serde::Deserialize;
use std::collections::{HashMap, HashSet};

/// The words of VADER, with where they are from.
const ENGLISH: &str = include_str!("../../data/sentiment.csv");

const NEGATIONS: [&str; 20] = [
    "aint", "cannot", "cant", "didnt", "doesnt", "dont", "hardly", "isnt", "neither", "never", "no",
    "nobody", "none", "nor", "not", "nothing", "nowhere", "wasnt", "without", "wont",
];

/// How far a negation reaches, words.
const REACH: usize = 3;

/// What a negation makes of a score, and the normalization of the sum, both as in VADER:
/// C. J. Hutto and E. Gilbert, "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media Text", 2014.
const TURNED: f64 = -0.74;
const ALPHA: f64 = 15.0;

/// From where on a score is not neutral.
const CLEAR: f64 = 0.05;

pub(crate) struct Sentiment {
    fields: FromInto,
    words: Words,
    json: String,
}

struct Words {
    scores: HashMap<Box<str>, f64>,
    negations: HashSet<Box<str>>,
    /// Whether `n't` negates: it does where the negations are English.
    is_english: bool,
    /// Room for one.
    word: String,
}

/// `enrich.sentiment`.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The field of the text.
    from: ItemPath,
    /// The object of the answer.
    into: ItemPath,
    /// A file beside pipeline.toml: CSV with the columns `word` and `score`.
    lexicon: Option<String>,
    /// Words that turn the words behind them around.
    negations: Option<Vec<String>>,
}

impl Step for Sentiment {
    const NAME: &'static str = "enrich.sentiment";
    type Settings = Settings;

    fn compile(settings: Settings, files: &dyn Files) -> Result<Self, Mistake> {
        let Settings { from, into, lexicon, negations } = settings;
        let fields = FromInto::new(from, into)?.apart()?;
        let scores = match lexicon {
            None => read(ENGLISH).map_err(Mistake::new)?,
            Some(name) => {
                let wrong = |why: String| Mistake::new(format!("the lexicon `{name}`{why}"));
                let bytes = files::read(files, "the lexicon", &name)?;
                let text = std::str::from_utf8(&bytes).map_err(|_| wrong(" is not UTF-8".to_owned()))?;
                read(text.trim_start_matches('\u{feff}')).map_err(|why| wrong(format!(": {why}")))?
            }
        };
        let is_english = negations.is_none();
        let negations = match negations {
            Some(words) => words.iter().map(|word| lowercase(word).into()).collect(),
            None => NEGATIONS.iter().copied().map(Into::into).collect(),
        };
        let (word, json) = (String::new(), String::new());
        Ok(Self { fields, words: Words { scores, negations, is_english, word }, json })
    }

    fn touches(&self) -> Touches {
        self.fields.touches()
    }

    fn apply(&mut self, event: &mut Event, _cx: &Context<'_>) -> Verdict {
        let Self { fields, words, json } = self;
        fields.each(event, |event, top, from, into| {
            match event.str_in(top, from) {
                Some(text) => words.tell(text, json),
                None => json.clear(),
            }
            replace(event, top, into, json);
            Verdict::Keep
        })
    }
}

impl Words {
    /// What they tell of a text, as the JSON of an object.
    fn tell(&mut self, text: &str, json: &mut String) {
        let (sum, words) = self.sum(text);
        let score = (sum / (sum * sum + ALPHA).sqrt() * 10_000.0).round() / 10_000.0;
        let label = match score {
            score if score >= CLEAR => "positive",
            score if score <= -CLEAR => "negative",
            _ => "neutral",
        };
        object(json, |members| {
            members.text("label", Some(label));
            members.float("score", Some(score + 0.0)); // no -0
            members.int("words", Some(words));
        });
    }

    /// The sum of the scores of a text's words, and how many have one.
    fn sum(&mut self, text: &str) -> (f64, i64) {
        let Self { scores, negations, is_english, word } = self;
        let (mut sum, mut known) = (0.0, 0);
        let is_within = |sign: char| sign.is_alphanumeric() || matches!(sign, '\'' | '’' | '-');
        for clause in text.split(['.', ',', ';', ':', '!', '?', '\n']) {
            let mut since_negation = usize::MAX;
            for found in clause.split(|sign| !is_within(sign)) {
                word.clear();
                let found = found.trim_matches(|sign: char| !sign.is_alphanumeric());
                let signs = found.chars().map(|sign| if sign == '’' { '\'' } else { sign });
                word.extend(signs.flat_map(char::to_lowercase));
                let is_whole = !word.contains('-') || scores.contains_key(word.as_str());
                for part in word.split(|sign| sign == '-' && !is_whole).filter(|part| !part.is_empty()) {
                    if negations.contains(part) || *is_english && part.ends_with("n't") {
                        since_negation = 0;
                        continue;
                    }
                    since_negation = since_negation.saturating_add(1);
                    if let Some(score) = scores.get(part) {
                        known += 1;
                        sum += if since_negation <= REACH { score * TURNED } else { *score };
                    }
                }
            }
        }
        (sum, known)
    }
}

fn lowercase(word: &str) -> String {
    word.trim().replace('’', "'").to_lowercase()
}

/// Reads a list of words and their scores.
fn read(text: &str) -> Result<HashMap<Box<str>, f64>, String> {
    let mut reader =
        csv::ReaderBuilder::new().comment(Some(b'#')).trim(csv::Trim::All).from_reader(text.as_bytes());
    let names = reader.headers().map_err(|why| why.to_string())?.clone();
    let column = |name: &str| {
        let place = names.iter().position(|known| known == name);
        place.ok_or_else(|| format!("it has no column `{name}`"))
    };
    let (word, score) = (column("word")?, column("score")?);
    let mut scores = HashMap::new();
    for row in reader.records() {
        let row = row.map_err(|why| why.to_string())?;
        let line = row.position().map_or(0, csv::Position::line);
        let (word, score) = (row.get(word).unwrap_or_default(), row.get(score).unwrap_or_default());
        let number = score.parse::<f64>().ok().filter(|score| score.is_finite());
        let number = number.ok_or_else(|| format!("line {line}: the score is no number"))?;
        let word = lowercase(word);
        if word.is_empty() || word.contains(char::is_whitespace) {
            return Err(format!("line {line}: a word is one word"));
        }
        if scores.insert(word.into(), number).is_some() {
            return Err(format!("line {line}: the word stands there twice"));
        }
    }
    if scores.is_empty() { Err("there is no word in it".to_owned()) } else { Ok(scores) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::{play, refuse, run, step};
    use expect_test::expect;

    const SETTINGS: &str = r#"{ from = "t", into = "s" }"#;

    fn told(text: &str) -> String {
        let event = serde_json::json!({ "t": text }).to_string();
        let after: serde_json::Value = serde_json::from_str(&run::<Sentiment>(SETTINGS, &event)).unwrap();
        let sentiment = &after["s"];
        format!("{} {} {}", sentiment["label"].as_str().unwrap(), sentiment["score"], sentiment["words"])
    }

    #[test]
    fn words_decide_and_negations_turn_them() {
        for (text, expected) in [
            ("Not good, and the box was broken", "negative -0.6711 2"),
            ("GOOD", "positive 0.4404 1"),
            ("Not again. Good!", "positive 0.4404 1"),
            ("good good good", "positive 0.8271 3"),
            ("not good", "negative -0.3412 1"),
            ("It isn’t really that good", "negative -0.3412 1"),
            ("not one of all these is good", "positive 0.4404 1"),
            ("no", "neutral 0.0 0"),
            ("the lamp stands there", "neutral 0.0 0"),
            ("", "neutral 0.0 0"),
            ("a good-natured, self-confident lamp", "positive 0.7506 2"),
            ("--- ''' 🙂", "neutral 0.0 0"),
        ] {
            assert_eq!(told(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_text_gets_no_answer_and_a_claim_goes() {
        for event in [r#"{"s":1}"#, r#"{"s":1,"t":null}"#, r#"{"s":1,"t":7}"#, r#"{"s":1,"t":["good"]}"#] {
            assert!(!run::<Sentiment>(SETTINGS, event).contains("\"s\""), "{event}");
        }
    }

    #[test]
    fn another_list_takes_its_place() {
        let files: &[(&str, &[u8])] = &[("w.csv", "# ours\nword,score\nGut, 2\nübel,-2.5\n".as_bytes())];
        let settings = r#"{ from = "t", into = "s", lexicon = "w.csv", negations = ["Nicht"] }"#;
        let mut step = step::<Sentiment>(settings, &files);
        let mut told = |text: &str| play(&mut step, &format!(r#"{{"t":"{text}"}}"#));
        assert!(told("GUT").contains(r#""label":"positive","score":0.4588,"words":1"#));
        assert!(told("nicht gut").contains("negative") && told("ÜBEL").contains("negative"));
        assert!(told("good").contains(r#""words":0"#) && told("isn't gut").contains("positive"));
    }

    #[test]
    fn mistakes_name_the_line() {
        for (text, why) in [
            ("", "it has no column `word`"),
            ("word,score\n", "there is no word in it"),
            ("word,points\na,1\n", "it has no column `score`"),
            ("word,score\na,1\nb,x\n", "line 3: the score is no number"),
            ("word,score\na,1\nb c,1\n", "line 3: a word is one word"),
            ("word,score\na,1\nA,2\n", "line 3: the word stands there twice"),
        ] {
            assert_eq!(read(text).unwrap_err(), why, "{text}");
        }
        refuse::<Sentiment>(
            r#"{ from = "t", into = "s", lexicon = "none.csv" }"#,
            &expect![
                "the lexicon `none.csv` cannot be read: there is no such file = it is a file beside the pipeline"
            ],
        );
        refuse::<Sentiment>(
            r#"{ from = "t", into = "t.s" }"#,
            &expect!["`into` is `t.s`: to write it would replace `t`, which is read"],
        );
    }

    #[test]
    fn the_words_are_all_there() {
        let words = read(ENGLISH).unwrap();
        assert!((7_000..8_000).contains(&words.len()), "{}", words.len());
        assert!(words.values().all(|score| (-4.0..=4.0).contains(score)));
    }
}
