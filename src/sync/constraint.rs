//! Which versions are wanted: the language of `images-by-semver`.
//!
//! It is that of [Masterminds/semver](https://github.com/Masterminds/semver#checking-version-constraints), which skopeo
//! reads: `>= 1.2, < 3 || ~4.1`, `^2`, `1.x`, `1.2 - 1.4`. Cargo's own requirements mean other things by the same
//! signs, so only its versions are used, for their order.

use std::str::FromStr;

use semver::{BuildMetadata, Prerelease, Version};

/// The signs, longer ones before those that they begin with.
const OPERATORS: [(&str, Operator); 12] = [
    (">=", Operator::AtLeast),
    ("=>", Operator::AtLeast),
    ("<=", Operator::AtMost),
    ("=<", Operator::AtMost),
    ("!=", Operator::Not),
    ("~>", Operator::Tilde),
    ("~", Operator::Tilde),
    ("^", Operator::Caret),
    (">", Operator::Above),
    ("<", Operator::Below),
    ("=", Operator::Is),
    ("", Operator::Is),
];

/// What a version must be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionConstraint {
    /// One of these, and everything in it.
    any_of: Vec<Vec<Comparator>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Comparator {
    operator: Operator,
    version: Version,
    given: Given,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Is,
    Not,
    Above,
    AtLeast,
    Below,
    AtMost,
    Tilde,
    Caret,
}

/// How much of a version is written; what is not is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Given {
    Nothing,
    Major,
    Minor,
    Patch,
}

/// A text that is not a constraint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no constraint of versions, expected such as \">= 1.2, < 3\", \"~1.2\", \"^1\" or \"1.2 - 1.4\"")]
pub struct NotAConstraint {
    /// What was given.
    pub text: String,
}

impl VersionConstraint {
    /// True for a tag that is a version, and such a one: `v1.2` is one, `latest` is none.
    pub fn allows(&self, tag: &str) -> bool {
        let Some(written) = Written::parse(tag).filter(|written| !written.is_wild) else { return false };
        self.any_of.iter().any(|all_of| all_of.iter().all(|comparator| comparator.allows(&written.version)))
    }
}

impl FromStr for VersionConstraint {
    type Err = NotAConstraint;

    fn from_str(text: &str) -> Result<Self, NotAConstraint> {
        let any_of = text.split("||").map(all_of).collect::<Option<Vec<_>>>();
        any_of.map(|any_of| Self { any_of }).ok_or_else(|| NotAConstraint { text: text.to_owned() })
    }
}

/// `>= 1, < 2`: separated by commas or spaces; at least one.
fn all_of(text: &str) -> Option<Vec<Comparator>> {
    let mut comparators = Vec::new();
    let mut rest = text.trim();
    loop {
        let (first, after) = comparator(rest)?;
        let is_bare = OPERATORS.iter().all(|(sign, _)| sign.is_empty() || !rest.starts_with(sign));
        rest = after;
        match range_end(after).filter(|_| is_bare) {
            Some((last, after)) => {
                comparators.push(Comparator { operator: Operator::AtLeast, ..first });
                comparators.push(last);
                rest = after;
            }
            None => comparators.push(first),
        }
        if rest.is_empty() {
            return Some(comparators);
        }
        let next = rest.trim_start();
        rest = match next.strip_prefix(',') {
            Some(next) => next.trim_start(),
            None if next.len() < rest.len() => next,
            None => return None,
        };
    }
}

/// An operator and a version, and the text behind them.
fn comparator(text: &str) -> Option<(Comparator, &str)> {
    let (sign, operator) = OPERATORS.iter().find(|(sign, _)| text.starts_with(sign))?;
    let text = text.get(sign.len()..)?.trim_start();
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '*' | '-' | '+');
    let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
    let (word, rest) = text.split_at_checked(end)?;
    let Written { version, given, .. } = Written::parse(word)?;
    Some((Comparator { operator: *operator, version, given }, rest))
}

/// ` - 1.4`, behind the first version of a range.
fn range_end(text: &str) -> Option<(Comparator, &str)> {
    let hyphen = text.trim_start();
    let last = hyphen.strip_prefix('-')?;
    let is_apart = hyphen.len() < text.len() && last.starts_with(char::is_whitespace);
    let (last, rest) = comparator(last.trim_start()).filter(|(last, _)| is_apart && last.operator == Operator::Is)?;
    Some((Comparator { operator: Operator::AtMost, ..last }, rest))
}

/// A version as it is written: `v1`, `1.2`, `1.x`, `1.2.3-beta+build`
struct Written {
    version: Version,
    given: Given,
    is_wild: bool,
}

impl Written {
    fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let (text, build) = split_suffix(text, '+')?;
        let (text, pre) = split_suffix(text, '-')?;
        let (pre, build) = (Prerelease::new(pre).ok()?, BuildMetadata::new(build).ok()?);
        let (mut numbers, mut given, mut is_wild) = ([0_u64; 3], Given::Nothing, false);
        let mut components = text.split('.');
        for (number, level) in numbers.iter_mut().zip([Given::Major, Given::Minor, Given::Patch]) {
            let Some(component) = components.next() else { break };
            if matches!(component, "x" | "X" | "*") {
                is_wild = true;
                continue;
            }
            let is_number = !component.is_empty() && component.bytes().all(|byte| byte.is_ascii_digit());
            let value = is_number.then(|| component.parse().ok()).flatten()?;
            // What is behind a wildcard says nothing.
            if !is_wild {
                (*number, given) = (value, level);
            }
        }
        let [major, minor, patch] = numbers;
        let version = Version { major, minor, patch, pre, build };
        components.next().is_none().then_some(Self { version, given, is_wild })
    }
}

/// What is before the sign, and what is behind it, which is not empty where the sign is there.
fn split_suffix(text: &str, sign: char) -> Option<(&str, &str)> {
    match text.split_once(sign) {
        Some((_, "")) => None,
        Some(parts) => Some(parts),
        None => Some((text, "")),
    }
}

impl Comparator {
    fn allows(&self, version: &Version) -> bool {
        let order = version.cmp_precedence(&self.version);
        let is_whole = self.given == Given::Patch;
        let names_prereleases = !self.version.pre.is_empty() || (self.operator == Operator::Not && is_whole);
        // A pre-release is wanted by whoever names one.
        if !version.pre.is_empty() && !names_prereleases {
            return false;
        }
        match self.operator {
            Operator::Is if is_whole => order.is_eq(),
            Operator::Not if is_whole => order.is_ne(),
            Operator::Not => !self.is_within(version),
            // Above 11 is 12, and not 11.1.
            Operator::Above => order.is_gt() && (is_whole || !self.is_within(version) || self.given == Given::Nothing),
            Operator::AtLeast => order.is_ge(),
            Operator::Below => order.is_lt(),
            Operator::AtMost => order.is_le() || (!is_whole && self.is_within(version)),
            Operator::Is | Operator::Tilde => order.is_ge() && self.is_within(version),
            Operator::Caret => order.is_ge() && self.is_compatible(version),
        }
    }

    /// The same major and minor version, as far as they are given.
    fn is_within(&self, version: &Version) -> bool {
        (self.given < Given::Major || version.major == self.version.major)
            && (self.given < Given::Minor || version.minor == self.version.minor)
    }

    /// The same up to the first number that is not zero, as far as they are given.
    fn is_compatible(&self, version: &Version) -> bool {
        let own = &self.version;
        if self.given == Given::Nothing {
            return true;
        }
        if own.major > 0 || self.given == Given::Major {
            return version.major == own.major;
        }
        if own.minor > 0 || self.given == Given::Minor {
            return version.major == 0 && version.minor == own.minor;
        }
        version.major == 0 && version.minor == 0 && version.patch == own.patch
    }
}
