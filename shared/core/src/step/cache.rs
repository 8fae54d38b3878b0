//! What was worked out for a text before, for steps whose answer depends on the text alone.

use twox_hash::XxHash3_64;

/// How many answers are kept. Each text has one place, which it shares with others: the last of them has it.
const PLACES: usize = 4096;

/// A longer text is not kept, so that the texts take at most 2 MB.
const TEXT_MAX: usize = 512;

/// Answers by text. The room of an answer serves the next one, so that nothing is allocated once it is warm.
pub(crate) struct Cache<V> {
    places: Vec<Place<V>>,
    /// The answer for a text that is too long to be kept.
    other: V,
}

#[derive(Default)]
struct Place<V> {
    is_filled: bool,
    text: String,
    answer: V,
}

impl<V: Default> Cache<V> {
    pub(crate) fn new() -> Self {
        Self { places: Vec::new(), other: V::default() }
    }

    /// The answer for a text; `work` makes it where it is not known, in place of another one.
    pub(crate) fn get(&mut self, text: &str, work: impl FnOnce(&str, &mut V)) -> &V {
        if self.places.is_empty() {
            self.places.resize_with(PLACES, Place::default);
        }
        #[expect(clippy::cast_possible_truncation, reason = "the low bits do")]
        let at = XxHash3_64::oneshot(text.as_bytes()) as usize % PLACES;
        let Self { places, other } = self;
        let Some(place) = places.get_mut(at).filter(|_| text.len() <= TEXT_MAX) else {
            work(text, other);
            return other;
        };
        if !place.is_filled || place.text != text {
            place.text.clear();
            place.text.push_str(text);
            place.is_filled = true;
            work(text, &mut place.answer);
        }
        &place.answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_worked_out_once_while_it_is_kept() {
        let (mut cache, mut times) = (Cache::<usize>::new(), 0);
        let long = "x".repeat(TEXT_MAX + 1);
        for text in ["", "a", "", "a", &long, &long] {
            assert_eq!(
                *cache.get(text, |text, answer| (times, *answer) = (times + 1, text.len())),
                text.len()
            );
        }
        assert_eq!(times, 4);
    }

    #[test]
    fn texts_that_share_a_place_are_told_apart() {
        let mut cache = Cache::<String>::new();
        for text in (0..3 * PLACES).chain(0..PLACES).map(|number| number.to_string()) {
            let answer = cache.get(&text, |text, answer| {
                answer.clear();
                answer.push_str(text);
            });
            assert_eq!(*answer, text);
        }
    }
}
