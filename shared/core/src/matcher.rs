//! Which words of a list stand in a text, in one pass for all of them.
//!
//! [`Words`] tells whether any does, and which is first in the list; [`Classes`] gives a text the first rule of a list
//! that takes it. First means first in the *list*, wherever in the text: `Chrome/` before `Safari/` holds for
//! `… Safari/537.36 Chrome/126.0`.
//!
//! A few dozen words are found by their first bytes with vector instructions (Teddy), 16 or 32 bytes of the text at a
//! time. That engine knows case, so where case is ignored, text and words have the bit set that tells `A` from `a`;
//! this makes some other bytes alike too (`@` and `` ` ``), so what is found is looked at again in the text itself. For
//! nine words and a hundred bytes this takes a fifth of the time of an automaton that ignores case, or less. Case is
//! that of ASCII.

use aho_corasick::{AhoCorasick, Input, MatchKind, Span, packed};
use regex::{Regex, RegexBuilder};

/// The texts that are made alike on the stack. User agents are shorter.
const SHORT_BYTES: usize = 256;

/// The bit between an ASCII letter and the same letter in lower case.
const CASE: u8 = 0x20;

/// Whether `Bot` is `bot`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Case {
    #[default]
    Sensitive,
    Ignored,
}

/// Words that are looked for together, in their order.
pub(crate) struct Words {
    list: Box<[Box<[u8]>]>,
    case: Case,
    engine: Engine,
}

/// A word of the list and where in the text it begins, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) word: usize,
    pub(crate) at: usize,
}

/// Both find the leftmost word, of those that begin there the one that is first in the list.
enum Engine {
    Vectors(packed::Searcher),
    /// For more words than that takes (64, or 32 to 48 on ARM), and for processors without the instructions.
    Automaton(AhoCorasick),
}

impl Words {
    /// The error tells what is wrong with the list.
    pub(crate) fn new<W: AsRef<str>>(words: &[W], case: Case) -> Result<Self, String> {
        if words.is_empty() {
            return Err("there is no word in the list".into());
        }
        if words.iter().any(|word| word.as_ref().is_empty()) {
            return Err("an empty word is in every text".into());
        }
        let list: Box<[Box<[u8]>]> = words.iter().map(|word| word.as_ref().as_bytes().into()).collect();
        let keys: Vec<Vec<u8>> = list
            .iter()
            .map(|word| match case {
                Case::Sensitive => word.to_vec(),
                Case::Ignored => word.iter().map(|byte| byte | CASE).collect(),
            })
            .collect();
        let engine = match packed::Builder::new().extend(&keys).build() {
            Some(searcher) => Engine::Vectors(searcher),
            None => AhoCorasick::builder()
                .match_kind(MatchKind::LeftmostFirst)
                .build(&keys)
                .map(Engine::Automaton)
                .map_err(|_| format!("{} words are too many or too long", keys.len()))?,
        };
        Ok(Self { list, case, engine })
    }

    /// Whether any of the words stands in the text.
    pub(crate) fn are_in(&self, text: &str) -> bool {
        self.alike(text, |key| self.search(text, key, true)).is_some()
    }

    /// The word that is first in the list of those that stand in the text, and where it first does.
    pub(crate) fn first_in(&self, text: &str) -> Option<Found> {
        self.alike(text, |key| self.search(text, key, false))
    }

    /// What the engine searches for this text.
    fn alike<R>(&self, text: &str, search: impl FnOnce(&[u8]) -> R) -> R {
        let text = text.as_bytes();
        if self.case == Case::Sensitive {
            return search(text);
        }
        let mut short = [0; SHORT_BYTES];
        if let Some(key) = short.get_mut(..text.len()) {
            for (key, byte) in key.iter_mut().zip(text) {
                *key = byte | CASE;
            }
            return search(key);
        }
        search(&text.iter().map(|byte| byte | CASE).collect::<Vec<_>>())
    }

    fn search(&self, text: &str, key: &[u8], any_will_do: bool) -> Option<Found> {
        let mut first: Option<Found> = None;
        let mut from = 0;
        while let Some((word, at)) = self.engine.next(key, from) {
            from = at + 1;
            if first.is_some_and(|first| first.word <= word) {
                continue;
            }
            let here = text.as_bytes().get(at..).unwrap_or_default();
            // What is only alike may hide a word that really begins here, later in the list.
            let word = if self.begins(here, word) {
                Some(word)
            } else {
                (word + 1..self.list.len()).find(|&word| self.begins(here, word))
            };
            first = match (word, first) {
                (Some(word), Some(first)) if first.word <= word => Some(first),
                (Some(word), _) => Some(Found { word, at }),
                (None, first) => first,
            };
            if first.is_some_and(|first| any_will_do || first.word == 0) {
                break;
            }
        }
        first
    }

    fn begins(&self, text: &[u8], word: usize) -> bool {
        self.case == Case::Sensitive
            || self.list.get(word).is_some_and(|word| {
                text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
            })
    }
}

impl Engine {
    /// The word and where it begins.
    fn next(&self, key: &[u8], from: usize) -> Option<(usize, usize)> {
        let rest = Span { start: from, end: key.len() };
        let found = match self {
            Self::Vectors(searcher) => searcher.find_in(key, rest)?,
            Self::Automaton(automaton) => automaton.find(Input::new(key).span(rest))?,
        };
        Some((found.pattern().as_usize(), found.start()))
    }
}

impl std::fmt::Debug for Words {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Words")
            .field("count", &self.list.len())
            .field("case", &self.case)
            .finish_non_exhaustive()
    }
}

/// What takes a text into a class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Any of these stands in the text.
    AnyOf(Vec<String>),
    /// It matches somewhere in the text. Syntax of the `regex` crate: linear time, whatever the text.
    Regex(String),
}

/// Rules, of which the first that takes a text gives the class.
#[derive(Debug)]
pub(crate) struct Classes {
    words: Option<Words>,
    /// The rule that each word is of.
    rules: Vec<usize>,
    regexes: Vec<(usize, Regex)>,
}

impl Classes {
    /// The error says which rule it is, in words by its number from 1, and by its place, from 0, where it is one's alone.
    pub(crate) fn new(rules: &[Rule], case: Case) -> Result<Self, (Option<usize>, String)> {
        let (mut words, mut of, mut regexes) = (Vec::new(), Vec::new(), Vec::new());
        for (number, rule) in rules.iter().enumerate() {
            let wrong = |what: String| (Some(number), format!("rule {}: {what}", number + 1));
            match rule {
                Rule::AnyOf(list) => {
                    Words::new(list, case).map_err(wrong)?;
                    words.extend(list);
                    of.resize(words.len(), number);
                }
                Rule::Regex(pattern) => {
                    let regex = RegexBuilder::new(pattern).case_insensitive(case == Case::Ignored).build();
                    regexes.push((number, regex.map_err(|why| wrong(told(&why)))?));
                }
            }
        }
        let words =
            if words.is_empty() { None } else { Some(Words::new(&words, case).map_err(|why| (None, why))?) };
        Ok(Self { words, rules: of, regexes })
    }

    /// The place in the list, from 0, of the first rule that takes the text.
    pub(crate) fn of(&self, text: &str) -> Option<usize> {
        let by_word = self.words.as_ref().and_then(|words| words.first_in(text));
        let by_word = by_word.and_then(|found| self.rules.get(found.word).copied());
        self.regexes
            .iter()
            .take_while(|(rule, _)| by_word.is_none_or(|by_word| *rule < by_word))
            .find(|(_, regex)| regex.is_match(text))
            .map(|(rule, _)| *rule)
            .or(by_word)
    }
}

/// The crate draws the pattern with a mark below, over several lines; the last one says it.
fn told(why: &regex::Error) -> String {
    let why = why.to_string();
    let last = why.lines().last().unwrap_or_default().trim();
    format!("no regular expression: {}", last.strip_prefix("error: ").unwrap_or(last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(list: &[&str], case: Case) -> Words {
        Words::new(list, case).unwrap()
    }

    fn any_of(list: &[&str]) -> Rule {
        Rule::AnyOf(list.iter().map(|&word| word.to_owned()).collect())
    }

    #[test]
    fn the_first_of_the_list_wins_wherever_it_stands() {
        let list = words(&["Edg/", "Chrome/", "Chrome/1", "hrome", "Safari/"], Case::Sensitive);
        let first = |text| list.first_in(text).map(|found| (found.word, found.at));
        assert_eq!(first("Safari/537 Chrome/126"), Some((1, 11)));
        assert_eq!(first("Safari/537 Chrome/126 Edg/126"), Some((0, 22)));
        assert_eq!(first("Safari/537 Safari/538 monochrome"), Some((3, 27)));
        assert_eq!(first("safari/537"), None);
        assert_eq!(first(""), None);
    }

    #[test]
    fn case_is_ignored_where_asked_and_only_case() {
        let list = words(&["Bot", "curl/", "[x", "é"], Case::Ignored);
        for text in
            ["GoogleBOT", "robot", "CURL/8", "a[X", "caf\u{e9}", &"-".repeat(999).replace("---", "-boT")]
        {
            assert!(list.are_in(text), "{text}");
        }
        // Alike with the bit set: `{` and `[`, a control character and `/`.
        for text in ["{x", "curl\u{f}", "É", "bo", ""] {
            assert!(!list.are_in(text), "{text}");
        }
        assert!(!words(&["bot"], Case::Sensitive).are_in("Bot"));
        // Where one word is only alike, another may begin.
        assert_eq!(words(&["@a", "`A"], Case::Ignored).first_in("x`a"), Some(Found { word: 1, at: 1 }));
    }

    #[test]
    fn rules_are_tried_in_their_order_and_regexes_among_them() {
        let rules = [
            any_of(&["Edg/", "Edge/"]),
            Rule::Regex("^Opera|OPR/[0-9]".into()),
            any_of(&["Chrome/"]),
            Rule::Regex("Mobile.*Safari/".into()),
            any_of(&["Safari/"]),
        ];
        let classes = Classes::new(&rules, Case::Sensitive).unwrap();
        assert_eq!(classes.of("Chrome/1 Safari/2 Edg/3"), Some(0));
        assert_eq!(classes.of("Chrome/1 Safari/2 OPR/3"), Some(1));
        assert_eq!(classes.of("Mobile Safari/2 Chrome/1"), Some(2));
        assert_eq!(classes.of("Mobile Safari/2"), Some(3));
        assert_eq!(classes.of("Safari/2"), Some(4));
        assert_eq!(classes.of("safari/2"), None);
        assert_eq!(Classes::new(&rules, Case::Ignored).unwrap().of("safari/2 opr/3"), Some(1));
        assert_eq!(Classes::new(&[], Case::Sensitive).unwrap().of("x"), None);
    }

    #[test]
    fn what_is_no_rule_is_refused_by_its_number() {
        let refused = |rule| {
            let (place, why) = Classes::new(&[any_of(&["a"]), rule], Case::Sensitive).unwrap_err();
            assert_eq!(place, Some(1));
            why
        };
        assert_eq!(refused(any_of(&[])), "rule 2: there is no word in the list");
        assert_eq!(refused(any_of(&["b", ""])), "rule 2: an empty word is in every text");
        assert_eq!(refused(Rule::Regex("(a".into())), "rule 2: no regular expression: unclosed group");
    }

    proptest! {
        #[test]
        fn both_engines_find_what_looking_for_each_word_finds(
            list in prop::collection::vec("[abAB@`é/]{1,4}", 1..6),
            text in "[abAB@`é/]{0,40}",
            ignored: bool,
            many: bool,
        ) {
            let case = if ignored { Case::Ignored } else { Case::Sensitive };
            let mut list = list;
            if many {
                list.extend((0..100).map(|number| format!("word {number}")));
            }
            let alike = |text: &str| if ignored { text.to_ascii_lowercase() } else { text.to_owned() };
            let expected = list
                .iter()
                .enumerate()
                .find_map(|(word, key)| Some(Found { word, at: alike(&text).find(&alike(key))? }));
            let words = Words::new(&list, case).unwrap();
            prop_assert_eq!(words.first_in(&text), expected);
            prop_assert_eq!(words.are_in(&text), expected.is_some());
        }
    }
}
