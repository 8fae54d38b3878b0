//! From text to the parser's tree, or what is wrong with the text, in words.
//!
//! The grammar is that of the `cel` crate. What stands here looks at the tokens before and after it: before, because
//! the parser goes as deep as the text is nested; after, because it tells mistakes in the words of its generator.

use crate::mistake::Mistake;
use cel::IdedExpr;
use cel::common::ast::SourceInfo;
use cel::parser::{ParseErrors, Parser};
use std::borrow::Cow;
use std::ops::Range;

/// How deep an expression may be nested: brackets within brackets, operators in a row, each on what is before.
/// CEL asks for less of an implementation, and a stack holds more.
pub(super) const DEPTH_MAX: usize = 80;

/// How long an expression may be, in bytes. The parser takes a millisecond for a thousand of them.
const TEXT_MAX: usize = 32 << 10;

/// An expression as it was read.
#[derive(Debug)]
pub(super) struct Parsed<'t> {
    pub(super) tree: IdedExpr,
    pub(super) names: Names,
    pub(super) places: Places<'t>,
}

/// The names that were in backticks, and what stands for each in the tree. The parser knows them behind a dot alone, and
/// then not with every sign that a field's name may have.
#[derive(Debug, Default)]
pub(super) struct Names(Vec<(String, String)>);

impl Names {
    /// The name of a field, as the tree has it.
    pub(super) fn of<'n>(&'n self, name: &'n str) -> &'n str {
        self.0.iter().find(|(stand_in, _)| stand_in == name).map_or(name, |(_, name)| name)
    }

    /// What stands for a name: as long in signs, so that places stay what they are, and nowhere else in the text.
    fn stand_in(&mut self, name: &str, text: &str) -> Option<&str> {
        let known = self.0.iter().position(|(_, known)| known == name);
        let at = known.unwrap_or(self.0.len());
        if known.is_none() {
            let rest = "_".repeat(name.chars().count().saturating_sub(1));
            let free = |word: &String| !text.contains(word) && !self.0.iter().any(|(taken, _)| taken == word);
            let stand_in = (0..=u8::MAX).map(|count| format!("_{count:02x}{rest}")).find(free)?;
            self.0.push((stand_in, name.to_owned()));
        }
        self.0.get(at).map(|(stand_in, _)| stand_in.as_str())
    }
}

/// Where in the text the parts of the tree stand. The parser knows of each the token that made it: a name, a literal, an
/// operator, or the bracket that opens it.
#[derive(Debug)]
pub(super) struct Places<'t> {
    text: &'t str,
    tokens: Vec<Token<'t>>,
    info: SourceInfo,
}

impl Places<'_> {
    /// The token that made a part of the tree, by its place among the tokens.
    fn token(&self, id: u64) -> Option<usize> {
        let (start, _) = self.info.offset_for(id)?;
        let mut start = usize::try_from(start).ok()?;
        // The parser saw stand-ins for names in backticks, as long in signs.
        if self.info.source != self.text {
            let signs = self.info.source.get(..start)?.chars().count();
            start = self.text.char_indices().nth(signs)?.0;
        }
        self.tokens.binary_search_by_key(&start, |token| token.at).ok()
    }

    fn range(&self, first: usize, last: usize) -> Option<Range<usize>> {
        Some(self.tokens.get(first)?.at..self.tokens.get(last)?.end())
    }

    fn or_all(&self, place: Option<Range<usize>>) -> Range<usize> {
        place.unwrap_or(0..self.text.len())
    }

    /// Where the token is that made this part.
    pub(super) fn of(&self, id: u64) -> Range<usize> {
        self.or_all(self.token(id).and_then(|token| self.range(token, token)))
    }

    /// Where the name of what was called is, of so many words with dots between them.
    pub(super) fn name(&self, call: u64, words: usize) -> Range<usize> {
        self.or_all(
            self.token(call)
                .and_then(|bracket| self.range(bracket.checked_sub(2 * words - 1)?, bracket.checked_sub(1)?)),
        )
    }

    /// Where an argument of a call is, from 0, what the call stands behind not counted.
    pub(super) fn argument(&self, call: u64, place: usize) -> Range<usize> {
        self.or_all(self.token(call).and_then(|bracket| argument_of(&self.tokens, bracket, place)))
    }

    /// Where a field is named, from its first name to the last: `data.x`, `data['x']`.
    pub(super) fn field(&self, first: u64, last: u64) -> Range<usize> {
        self.or_all(self.token(first).zip(self.token(last)).and_then(|(first, last)| {
            let names = match self.tokens.get(last)?.sign() {
                "." => 1,
                "[" => 2,
                _ => 0,
            };
            self.range(first, last + names)
        }))
    }

    /// Where a part of a text is that stands here as it is meant, with no escapes.
    pub(super) fn within(
        &self,
        text: &Range<usize>,
        meant: &str,
        part: &Range<usize>,
    ) -> Option<Range<usize>> {
        let written = self.text.get(text.clone())?;
        let before = written.find(['\'', '"'])?;
        let quotes = written.get(before..)?;
        let three = quotes.starts_with("\"\"\"") || quotes.starts_with("'''");
        let quote = if three { 3 } else { 1 };
        let body = written.get(before + quote..written.len().checked_sub(quote)?);
        let start = text.start + before + quote;
        (body == Some(meant)).then_some(start + part.start..start + part.end)
    }
}

/// Where an argument is of those that a bracket opens.
fn argument_of(tokens: &[Token<'_>], bracket: usize, place: usize) -> Option<Range<usize>> {
    let (mut depth, mut commas, mut first) = (0_usize, 0, None);
    let mut last = None;
    for token in tokens.iter().skip(bracket + 1) {
        let is_end = match token.sign() {
            "(" | "[" | "[?" | "{" => {
                depth += 1;
                false
            }
            ")" | "]" | "}" if depth > 0 => {
                depth -= 1;
                false
            }
            ")" | "]" | "}" => true,
            "," => depth == 0,
            _ => false,
        };
        if is_end && commas == place {
            return Some(first?..last?);
        }
        if is_end {
            commas += 1;
        } else if commas == place {
            first = first.or(Some(token.at));
            last = Some(token.end());
        }
    }
    None
}

pub(super) fn parse(text: &str) -> Result<Parsed<'_>, Mistake> {
    if text.len() > TEXT_MAX {
        return Err(Mistake::new(format!("this expression is too long: at most {TEXT_MAX} bytes")));
    }
    let tokens = tokens(text);
    check(&tokens)?;
    let (names, replaced) = take_names(text, &tokens)?;
    #[expect(clippy::cast_possible_truncation, reason = "a small constant")]
    let depth = 2 * DEPTH_MAX as u16;
    let parser = || Parser::new().max_recursion_depth(depth).parse_with_source_info(&replaced);
    let unread = || no_expression("it cannot be read");
    // A thread of its own, because nobody knows what is left of this one's stack.
    let parsed = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK_SIZE);
        thread.spawn_scoped(scope, || parser().map_err(first)).ok()?.join().ok()
    });
    let (tree, info) = parsed
        .ok_or_else(unread)?
        .map_err(|first| first.map_or_else(unread, |first| explain(text, &replaced, &tokens, &first)))?;
    Ok(Parsed { tree, names, places: Places { text, tokens, info } })
}

/// The text with words that the parser knows in the place of names in backticks.
fn take_names<'t>(text: &'t str, tokens: &[Token<'_>]) -> Result<(Names, Cow<'t, str>), Mistake> {
    let mut names = Names::default();
    let mut replaced = String::new();
    let mut end = 0;
    for (at, token) in tokens.iter().enumerate() {
        let Some(rest) = token.text.strip_prefix('`') else { continue };
        let wrong = |why| token.mistake(why);
        let name = rest.strip_suffix('`').filter(|name| !name.contains('\n'));
        let name = name.ok_or_else(|| wrong("a name in backticks has no end"))?;
        if name.is_empty() {
            return Err(wrong("there is no name between these backticks"));
        }
        let (before, behind) = (text.get(..token.at), text.get(token.at + token.text.len()..));
        let beside =
            [before.and_then(|text| text.chars().next_back()), behind.and_then(|text| text.chars().next())];
        if beside.iter().flatten().any(|sign| sign.is_alphanumeric() || matches!(sign, '_' | '`')) {
            return Err(wrong("a name in backticks stands apart from other names"));
        }
        if tokens.get(at + 1).is_some_and(|next| matches!(next.text, "(" | "{")) {
            return Err(wrong("a name in backticks is a field's, not a function's"));
        }
        let stand_in =
            names.stand_in(name, text).ok_or_else(|| wrong("there are too many names in backticks"))?;
        replaced.push_str(text.get(end..token.at).unwrap_or_default());
        replaced.push_str(stand_in);
        end = token.at + token.text.len();
    }
    if end == 0 {
        return Ok((names, text.into()));
    }
    replaced.push_str(text.get(end..).unwrap_or_default());
    Ok((names, replaced.into()))
}

/// What the parser takes for [`DEPTH_MAX`] levels where nothing is optimized, and as much again.
const STACK_SIZE: usize = 16 << 20;

/// A mistake of the parser: line, column and words.
type Flaw = ((isize, isize), String);

fn first(errors: ParseErrors) -> Option<Flaw> {
    errors.errors.into_iter().next().map(|error| (error.pos, error.msg))
}

pub(super) fn too_deep() -> String {
    format!("this expression is nested too deep: at most {DEPTH_MAX} levels")
}

/// A token, roughly: names and numbers are words, signs stand alone but for those that belong together.
#[derive(Debug, Clone, Copy)]
struct Token<'a> {
    at: usize,
    text: &'a str,
    kind: TokenKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TokenKind {
    Word,
    Text,
    /// A text without an end.
    Open,
    Sign,
}

impl Token<'_> {
    fn end(&self) -> usize {
        self.at + self.text.len()
    }

    /// Its text where it is a sign.
    fn sign(&self) -> &str {
        if self.kind == TokenKind::Sign { self.text } else { "" }
    }

    fn mistake(&self, why: &str) -> Mistake {
        no_expression(why).about(self.at..self.end())
    }

    /// Whether it is the end of a value, so that an operator follows.
    fn ends_value(&self) -> bool {
        match self.kind {
            TokenKind::Word => self.text != "in",
            TokenKind::Text | TokenKind::Open => true,
            TokenKind::Sign => matches!(self.text, ")" | "]" | "}"),
        }
    }
}

const SIGNS: [&str; 9] = ["&&", "||", "==", "!=", "<=", ">=", "//", ".?", "[?"];

fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let word = rest.find(|sign: char| !sign.is_alphanumeric() && sign != '_').unwrap_or(rest.len());
        let (prefix, quoted) = rest.split_at(word);
        let is_prefix = prefix.len() <= 2 && prefix.chars().all(|sign| "rRbB".contains(sign));
        let (length, kind) = if is_prefix && quoted.starts_with(['\'', '"']) {
            let raw = prefix.contains(['r', 'R']);
            let (length, closed) = text_length(quoted, raw);
            (word + length, if closed { TokenKind::Text } else { TokenKind::Open })
        } else if rest.starts_with(|sign: char| sign.is_ascii_digit()) {
            (number_length(rest), TokenKind::Word)
        } else if word > 0 {
            (word, TokenKind::Word)
        } else if rest.starts_with("//") {
            at += rest.find('\n').unwrap_or(rest.len());
            continue;
        } else if let Some(name) = rest.strip_prefix('`') {
            (name.find('`').map_or(rest.len(), |end| end + 2), TokenKind::Word)
        } else {
            let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign)).map(|sign| sign.len());
            (sign.unwrap_or_else(|| rest.chars().next().map_or(1, char::len_utf8)), TokenKind::Sign)
        };
        let token = rest.get(..length).unwrap_or(rest);
        if !token.trim().is_empty() {
            tokens.push(Token { at, text: token, kind });
        }
        at += length;
    }
    tokens
}

/// The length of a number, with its fraction and its exponent.
fn number_length(rest: &str) -> usize {
    let word = |from: usize| {
        let rest = rest.get(from..).unwrap_or_default();
        from + rest.find(|sign: char| !sign.is_alphanumeric() && sign != '_').unwrap_or(rest.len())
    };
    let digit_behind = |signs: &[char], from: usize| {
        let mut behind = rest.get(from..).unwrap_or_default().chars();
        behind.next().is_some_and(|sign| signs.contains(&sign))
            && behind.next().is_some_and(|sign| sign.is_ascii_digit())
    };
    let mut end = word(0);
    if digit_behind(&['.'], end) {
        end = word(end + 1);
    }
    let is_hex = rest.starts_with("0x") || rest.starts_with("0X");
    let has_exponent = rest.get(..end).is_some_and(|number| number.ends_with(['e', 'E'])) && !is_hex;
    if has_exponent && digit_behind(&['+', '-'], end) {
        end = word(end + 1);
    }
    end
}

/// The length of a text with its quotes, and whether it has an end.
fn text_length(quoted: &str, raw: bool) -> (usize, bool) {
    let quote = if quoted.starts_with('"') { '"' } else { '\'' };
    let three = if quote == '"' { "\"\"\"" } else { "'''" };
    let end = if quoted.starts_with(three) { three } else { three.get(..1).unwrap_or(three) };
    let mut at = end.len();
    while let Some(rest) = quoted.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with(end) {
            return (at + end.len(), true);
        }
        if end.len() == 1 && rest.starts_with('\n') {
            break;
        }
        let mut signs = rest.chars();
        if signs.next() == Some('\\') && !raw {
            at += 1;
            at += signs.next().map_or(0, char::len_utf8);
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    (at, false)
}

/// A bracket that is open, and how deep what is in it goes so far.
struct Level<'a> {
    open: Token<'a>,
    /// Whether it stands behind a value, as an index or arguments do.
    behind: bool,
    /// What is in a row, each on what is before.
    chain: usize,
    /// Conditions in conditions.
    conditions: usize,
    /// The `?` of those whose `:` is to come.
    open_conditions: Vec<Token<'a>>,
}

impl<'a> Level<'a> {
    fn new(open: Token<'a>, behind: bool) -> Self {
        Self { open, behind, chain: 0, conditions: 0, open_conditions: Vec::new() }
    }

    fn check(&self) -> Result<(), Mistake> {
        self.open_conditions.last().map_or(Ok(()), |open| {
            let help = "it is written `condition ? this : that`; what may be missing, `x != null ? x : y` or `has(x.y) ? x.y : z`";
            Err(open.mistake("a `?` has no `:`").with_help(help))
        })
    }
}

/// Looks for what the parser would tell badly, or would not live to tell.
fn check(tokens: &[Token<'_>]) -> Result<(), Mistake> {
    let start = Token { at: 0, text: "", kind: TokenKind::Sign };
    let mut levels = vec![Level::new(start, false)];
    let mut last = &start;
    for token in tokens {
        let behind = last.ends_value();
        last = token;
        if token.kind == TokenKind::Open {
            return Err(token
                .mistake("a text has no end")
                .with_help("a text stands in quotes, and on one line: 'like this'"));
        }
        if matches!(token.text, ")" | "]" | "}") && token.kind == TokenKind::Sign {
            let level = if levels.len() > 1 { levels.pop() } else { None };
            let open = level.as_ref().map_or("", |level| level.open.text);
            if !matches!((open, token.text), ("(", ")") | ("[" | "[?", "]") | ("{", "}")) {
                return Err(token.mistake(&format!("no bracket is open for `{}`", token.text)));
            }
            level.iter().try_for_each(Level::check)?;
            if let (Some(above), true) = (levels.last_mut(), level.is_some_and(|level| level.behind)) {
                above.chain += 1;
            }
        }
        let Some(level) = levels.last_mut() else { break };
        match (token.kind, token.text) {
            (TokenKind::Sign, "&&" | "||") => level.chain = 0,
            (TokenKind::Sign, ",") => {
                level.check()?;
                (level.chain, level.conditions) = (0, 0);
            }
            (TokenKind::Sign, "?") => {
                level.chain = 0;
                level.conditions += 1;
                level.open_conditions.push(*token);
            }
            (TokenKind::Sign, ":") => {
                level.chain = 0;
                level.open_conditions.pop();
            }
            (TokenKind::Sign, "(" | "[" | "[?" | "{" | ")" | "]" | "}") => {}
            (TokenKind::Sign, _) | (TokenKind::Word, "in") => level.chain += 1,
            _ => {}
        }
        if matches!(token.text, "(" | "[" | "[?" | "{") && token.kind == TokenKind::Sign {
            levels.push(Level::new(*token, behind));
        }
        let depth: usize = levels.iter().map(|level| 1 + level.chain + level.conditions).sum();
        if depth > DEPTH_MAX {
            return Err(Mistake::new(too_deep()).about(token.at..token.end()));
        }
    }
    match levels.pop() {
        Some(level) if !level.open.text.is_empty() => {
            Err(level.open.mistake(&format!("`{}` is never closed", level.open.text)))
        }
        Some(level) => level.check(),
        None => Ok(()),
    }
}

const NO_ESCAPE: &str =
    "a text has a `\\` before what it cannot stand before: `\\\\` is one that stands for itself";

/// Says what the parser stumbled over: what is found where, and what should be there.
fn explain(text: &str, parsed: &str, tokens: &[Token<'_>], (place, message): &Flaw) -> Mistake {
    if tokens.is_empty() {
        return no_expression("it is empty");
    }
    let told = [
        ("invalid int literal", "this is more than an int holds"),
        ("invalid uint literal", "this is more than a uint holds"),
        ("invalid double literal", "this is more than a double holds"),
        ("invalid string literal", NO_ESCAPE),
        ("invalid bytes literal", NO_ESCAPE),
        ("invalid argument to has()", ""),
        ("argument must be a simple name", "a macro wants a name first: `list.all(x, x > 0)`"),
        ("unsupported syntax", "optional fields and elements, with `?`, are not supported"),
    ];
    let known = told.iter().find(|(start, _)| message.starts_with(start));
    let at = if known.is_some_and(|(start, _)| start.contains("argument")) {
        offset_in_bytes(text, parsed, *place)
    } else {
        offset(text, *place)
    };
    let Some(at) = at else { return no_expression("it cannot be read") };
    // The parser points at a sign that is none, or at the first token that fits no more.
    let found = tokens.iter().find(|token| token.end() > at);
    let before = tokens.iter().take_while(|token| token.end() <= at).last();
    let wanted = if before.is_some_and(Token::ends_value) { "an operator" } else { "a value" };
    let Some(found) = found else {
        let end = before.map_or(at, Token::end);
        return no_expression(&format!("it ends where {wanted} should stand")).about(end..end);
    };
    if let Some(word) = message.strip_prefix("reserved identifier: ") {
        let condition = if word == "if" { "a condition is written `x ? this : that`; " } else { "" };
        let help = format!("{condition}a field of this name is written in backticks: {}", backticks(word));
        return found.mistake(&format!("`{word}` is a word that CEL keeps for itself")).with_help(help);
    }
    if known.is_some_and(|(start, _)| start.contains("has()")) {
        return no_has(tokens, found);
    }
    if let Some((_, words)) = known.filter(|(_, words)| *words != NO_ESCAPE) {
        return found.mistake(words);
    }
    if known.is_some() || found.kind == TokenKind::Text && message.contains("token recognition") {
        return found
            .mistake(NO_ESCAPE)
            .with_help("with an `r` before its quotes a text is as it stands: r'\\d+'");
    }
    if found.kind == TokenKind::Word && !found.text.is_ascii() && !found.text.starts_with('`') {
        return found
            .mistake(&format!("`{}` is no name: CEL has a to z, digits and _", found.text))
            .with_help(format!("a field of this name is written in backticks: {}", backticks(found.text)));
    }
    if wanted == "a value" && found.kind != TokenKind::Sign {
        let wrong = found.mistake(&format!("it cannot be read from `{}` on", found.text));
        let joins = found.kind == TokenKind::Text && before.is_some_and(|before| before.text == ".");
        return if joins { wrong.with_help("`+` joins texts") } else { wrong };
    }
    let wrong = found.mistake(&format!("`{}` stands where {wanted} should", found.text));
    match meant(tokens, found) {
        Some(help) => wrong.with_help(help),
        None => wrong,
    }
}

/// `has()` of what it does not take: here is a part of that.
fn no_has(tokens: &[Token<'_>], part: &Token<'_>) -> Mistake {
    let before = tokens.iter().take_while(|token| token.at <= part.at);
    let open = before.enumerate().filter(|(_, token)| token.text == "has").last().map_or(0, |(at, _)| at + 1);
    let argument = argument_of(tokens, open, 0).unwrap_or(part.at..part.end());
    let is_name = argument == (part.at..part.end()) && part.kind == TokenKind::Word;
    let mistake = no_expression("`has` is written `has(data.x)`").about(argument);
    if is_name {
        mistake.with_help(format!("of a field at the top `{} != null` asks", part.text))
    } else {
        mistake.with_help(
            "the last name stands behind a dot, in backticks if it has other signs: has(data.`x-y`)",
        )
    }
}

/// What somebody meant who wrote this, in the manner of another language.
fn meant(tokens: &[Token<'_>], found: &Token<'_>) -> Option<&'static str> {
    let at = tokens.iter().position(|token| token.at == found.at)?;
    let behind = tokens.get(at + 1);
    let before = at.checked_sub(1).and_then(|before| tokens.get(before));
    let text_of = |token: Option<&Token<'_>>| token.map_or("", |token| token.text).to_ascii_lowercase();
    let (before_text, behind_text) = (text_of(before), text_of(behind));
    let touches =
        |other: Option<&Token<'_>>| other.is_some_and(|it| it.end() == found.at || found.end() == it.at);
    let is_number = |token: Option<&Token<'_>>| {
        token.is_some_and(|it| it.text.starts_with(|sign: char| sign.is_ascii_digit()))
    };
    let in_braces = || tokens.iter().take(at).rev().find(|token| token.sign() == "(" || token.sign() == ")");
    Some(match found.text.to_ascii_lowercase().as_str() {
        "=" if behind_text == ">" && touches(behind) => "a macro is written `list.exists(x, x > 0)`",
        "=" if behind_text == "~" && touches(behind) => "`text.matches('pattern')` asks for a pattern",
        "=" => "`==` compares",
        ">" if before_text == "<" && touches(before) => "`!=` is unequal",
        "*" if before_text == "*" && touches(before) => "there is no power: `x * x`",
        "+" if before_text == "+" && touches(before) => "`x + 1` is one more",
        "&" | "and" => "`&&` is and",
        "|" | "or" => "`||` is or",
        "not" if behind_text == "in" => "`!(x in ['a', 'b'])` is not in",
        "not" => "`!` is not",
        _ if before_text == "not" => "`!` is not",
        "is" => "`==` compares, with null too",
        "in" => "`in` has small letters, and its list has brackets: `x in ['a', 'b']`",
        "like" => "`text.startsWith('a')`, `text.contains('a')` and `text.matches('pattern')` ask for a part",
        "between" => "`x >= 1 && x <= 2` is between",
        "if" | "then" | "else" => "a condition is written `condition ? this : that`",
        "$" if matches!(behind_text.as_str(), "." | "{") => "a field is named as it is: `price`, `data.x`",
        "@" | "$" => "a field whose name has such signs is written in backticks: `@timestamp`",
        "," if is_number(before) && is_number(behind) => "a fraction has a point: `1.5`",
        "," if in_braces().is_some_and(|open| is_list_of(tokens, open)) => {
            "a list has brackets: `x in ['a', 'b']`"
        }
        ";" => "an expression has no `;` at its end",
        _ => return None,
    })
}

/// Whether a bracket opens what `in` looks through.
fn is_list_of(tokens: &[Token<'_>], open: &Token<'_>) -> bool {
    let before = tokens.iter().take_while(|token| token.at < open.at).last();
    open.text == "(" && before.is_some_and(|before| before.text == "in")
}

/// Where a line and a column are, from 1 and 1, in characters.
fn offset(text: &str, (line, column): (isize, isize)) -> Option<usize> {
    let (line, column) = (usize::try_from(line).ok()?.checked_sub(1)?, usize::try_from(column).ok()?);
    let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1));
    let start = starts.into_iter().nth(line)?;
    let rest = text.get(start..)?;
    let within = rest.char_indices().nth(column.checked_sub(1)?).map_or(rest.len(), |(at, _)| at);
    Some(start + within)
}

/// The same where the parser counted bytes, and those of what it parsed: of the arguments of macros.
fn offset_in_bytes(text: &str, parsed: &str, (line, column): (isize, isize)) -> Option<usize> {
    let line_start = offset(parsed, (line, 1))?;
    let start = line_start.checked_add(usize::try_from(column).ok()?.checked_sub(1)?)?;
    text.char_indices().nth(parsed.get(..start)?.chars().count()).map(|(at, _)| at)
}

fn backticks(name: &str) -> String {
    format!("`{name}`")
}

fn no_expression(why: &str) -> Mistake {
    Mistake::new(format!("no CEL expression: {why}"))
}
