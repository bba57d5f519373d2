//! Text to nodes.

use std::iter::Peekable;
use std::str::Chars;

use serde_json::Value;

use super::{Argument, Call, Error, FUNCTIONS, Node};

/// What is between `{{` and `}}`, and what is not.
enum Token {
    Text(String),
    Action(String),
}

type Tokens = Peekable<std::vec::IntoIter<Token>>;

/// What ended a list of nodes.
enum Ending {
    Text,
    End,
    /// With the condition of an `{{else if …}}`.
    Else(Option<String>),
}

pub(super) fn template(text: &str) -> Result<Vec<Node>, Error> {
    let mut tokens = tokens(text)?.into_iter().peekable();
    Ok(nodes(&mut tokens, None)?.0)
}

fn tokens(text: &str) -> Result<Vec<Token>, Error> {
    let mut tokens = Vec::new();
    let mut rest = text;
    let mut trim_next = false;
    while let Some((before, after)) = rest.split_once("{{") {
        let (action, after) = after.split_once("}}").ok_or(Error::Unclosed)?;
        let (action, trims_before) = action.strip_prefix("- ").map_or((action, false), |action| (action, true));
        let (action, trims_after) = action.strip_suffix(" -").map_or((action, false), |action| (action, true));
        let before = if trim_next { before.trim_start() } else { before };
        let before = if trims_before { before.trim_end() } else { before };
        tokens.push(Token::Text(unescape(before)));
        tokens.push(Token::Action(action.trim().to_owned()));
        trim_next = trims_after;
        rest = after;
    }
    let rest = if trim_next { rest.trim_start() } else { rest };
    tokens.push(Token::Text(unescape(rest)));
    Ok(tokens)
}

/// A shell hands `\n` and `\t` over as two characters; people mean one.
fn unescape(text: &str) -> String {
    text.replace("\\n", "\n").replace("\\t", "\t")
}

/// Reads until the `{{end}}` or `{{else}}` of the `open` action, or to the end of the text.
fn nodes(tokens: &mut Tokens, open: Option<&str>) -> Result<(Vec<Node>, Ending), Error> {
    let mut nodes = Vec::new();
    while let Some(token) = tokens.next() {
        let action = match token {
            Token::Text(text) => {
                nodes.push(Node::Text(text));
                continue;
            }
            Token::Action(action) => action,
        };
        let (word, rest) = action.split_once(' ').unwrap_or((&action, ""));
        match word {
            "end" | "else" if open.is_none() => return Err(Error::NothingOpen(action)),
            "end" => return Ok((nodes, Ending::End)),
            "else" if rest.is_empty() => return Ok((nodes, Ending::Else(None))),
            "else" => {
                let condition = rest.trim().strip_prefix("if ").ok_or_else(|| syntax(&action))?;
                return Ok((nodes, Ending::Else(Some(condition.to_owned()))));
            }
            "range" => nodes.push(range(tokens, &action, rest)?),
            "if" => nodes.push(condition(tokens, &action, rest)?),
            _ => nodes.push(Node::Print(pipe(&action)?)),
        }
    }
    match open {
        Some(action) => Err(Error::NoEnd(action.to_owned())),
        None => Ok((nodes, Ending::Text)),
    }
}

fn range(tokens: &mut Tokens, action: &str, list: &str) -> Result<Node, Error> {
    match nodes(tokens, Some(action))? {
        (_, Ending::Else(_)) => Err(syntax("else of range")),
        (body, _) => Ok(Node::Range(pipe(list)?, body)),
    }
}

/// One `{{end}}` closes an `{{if}}` with all its `{{else if}}`.
fn condition(tokens: &mut Tokens, action: &str, test: &str) -> Result<Node, Error> {
    let (then, ending) = nodes(tokens, Some(action))?;
    let otherwise = match ending {
        Ending::Else(Some(next)) => vec![condition(tokens, action, &next)?],
        Ending::Else(None) => match nodes(tokens, Some(action))? {
            (_, Ending::Else(_)) => return Err(syntax("else after else")),
            (otherwise, _) => otherwise,
        },
        Ending::End | Ending::Text => Vec::new(),
    };
    Ok(Node::If(pipe(test)?, then, otherwise))
}

enum Word {
    Name(String),
    Argument(Argument),
    Pipe,
}

fn pipe(text: &str) -> Result<Vec<Call>, Error> {
    let words = words(text).ok_or_else(|| syntax(text))?;
    let calls = words.split(|word| matches!(word, Word::Pipe));
    calls.map(|words| call(words).ok_or_else(|| syntax(text))).collect()
}

fn syntax(action: &str) -> Error {
    Error::Syntax { action: action.to_owned() }
}

/// `None` for what is no call.
fn call(words: &[Word]) -> Option<Call> {
    let (function, words) = match words {
        [Word::Name(name), rest @ ..] => (Some(FUNCTIONS.into_iter().find(|function| function == name)?), rest),
        words => (None, words),
    };
    let arguments: Vec<_> = words.iter().map(argument).collect::<Option<_>>()?;
    (function.is_some() || arguments.len() == 1).then_some(Call { function, arguments })
}

fn argument(word: &Word) -> Option<Argument> {
    match word {
        Word::Argument(argument) => Some(argument.clone()),
        Word::Name(_) | Word::Pipe => None,
    }
}

/// `None` where a quotation or a number is broken.
fn words(text: &str) -> Option<Vec<Word>> {
    let mut words = Vec::new();
    let mut characters = text.chars().peekable();
    while let Some(&character) = characters.peek() {
        match character {
            ' ' | '\t' => {
                characters.next();
            }
            '|' => {
                characters.next();
                words.push(Word::Pipe);
            }
            '"' | '`' => words.push(Word::Argument(Argument::Literal(Value::String(quoted(&mut characters)?)))),
            '.' => {
                let path = bare(&mut characters);
                let fields = path.split('.').filter(|part| !part.is_empty()).map(ToOwned::to_owned).collect();
                words.push(Word::Argument(Argument::Field(fields)));
            }
            '0'..='9' => {
                words.push(Word::Argument(Argument::Literal(bare(&mut characters).parse::<u64>().ok()?.into())));
            }
            _ => words.push(Word::Name(bare(&mut characters))),
        }
    }
    Some(words)
}

fn bare(characters: &mut Peekable<Chars<'_>>) -> String {
    let mut word = String::new();
    while let Some(character) = characters.next_if(|c| !matches!(c, ' ' | '\t' | '|' | '"' | '`')) {
        word.push(character);
    }
    word
}

fn quoted(characters: &mut Peekable<Chars<'_>>) -> Option<String> {
    let quote = characters.next()?;
    let mut text = String::new();
    loop {
        match characters.next()? {
            c if c == quote => return Some(text),
            '\\' if quote == '"' => text.push(match characters.next()? {
                'n' => '\n',
                't' => '\t',
                other => other,
            }),
            c => text.push(c),
        }
    }
}
