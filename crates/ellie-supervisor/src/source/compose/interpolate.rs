//! `$NAME`, `${NAME:-default}` and their like in a compose file.

/// How deep defaults may hold variables of their own.
const MAX_DEPTH: usize = 16;

/// What came of a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Filled {
    pub(super) text: String,
    /// Variables without a value and without a default; they are empty.
    pub(super) unset: Vec<String>,
}

/// `text` with its variables filled in.
///
/// # Errors
/// What is wrong with it, or what `${NAME:?…}` says.
pub(super) fn fill(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Filled, String> {
    let mut filled = Filled::default();
    into(text, variable, &mut filled, 0)?;
    Ok(filled)
}

fn into(
    text: &str,
    variable: &dyn Fn(&str) -> Option<String>,
    out: &mut Filled,
    depth: usize,
) -> Result<(), String> {
    if depth > MAX_DEPTH {
        return Err("has variables in variables in too many levels".into());
    }
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.text.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.text.push('$');
            rest = after;
        } else if let Some(inner) = rest.strip_prefix('{') {
            let end = closing(inner).ok_or("has a `${` that is not closed")?;
            braced(&inner[..end], variable, out, depth)?;
            rest = &inner[end + 1..];
        } else {
            let end = name_end(rest);
            if end == 0 {
                return Err("has a `$` before no name; write `$$` for a dollar sign".into());
            }
            plain(&rest[..end], variable, out);
            rest = &rest[end..];
        }
    }
    out.text.push_str(rest);
    Ok(())
}

/// Where the name at the beginning of `text` ends.
fn name_end(text: &str) -> usize {
    let is_part =
        |(i, c): (usize, char)| c == '_' || c.is_ascii_alphabetic() || (i > 0 && c.is_ascii_digit());
    text.char_indices().find(|found| !is_part(*found)).map_or(text.len(), |(i, _)| i)
}

/// Where the brace that is open at the beginning of `text` is closed.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut before = ' ';
    for (i, c) in text.char_indices() {
        match c {
            '{' if before == '$' => depth += 1,
            '}' if depth == 0 => return Some(i),
            '}' => depth -= 1,
            _ => {}
        }
        before = c;
    }
    None
}

fn plain(name: &str, variable: &dyn Fn(&str) -> Option<String>, out: &mut Filled) {
    match variable(name) {
        Some(value) => out.text.push_str(&value),
        None => out.unset.push(name.into()),
    }
}

fn braced(
    inner: &str,
    variable: &dyn Fn(&str) -> Option<String>,
    out: &mut Filled,
    depth: usize,
) -> Result<(), String> {
    let end = name_end(inner);
    let (name, rest) = inner.split_at(end);
    let (colon, operator) = match rest.strip_prefix(':') {
        Some(operator) => (true, operator),
        None => (false, rest),
    };
    if name.is_empty() || (rest.is_empty() && colon) {
        return Err(format!("has `${{{}}}`, which is no variable", ellie_core::model::excerpt(inner)));
    }
    if rest.is_empty() {
        plain(name, variable, out);
        return Ok(());
    }
    let value = variable(name).filter(|value| !(colon && value.is_empty()));
    let word = operator.get(1..).unwrap_or_default();
    match (operator.chars().next(), value) {
        (Some('-' | '?'), Some(value)) => out.text.push_str(&value),
        (Some('-'), None) => into(word, variable, out, depth + 1)?,
        (Some('?'), None) => {
            let why = if word.is_empty() { "it has to be set" } else { word };
            return Err(format!("needs the variable `{name}`: {}", ellie_core::model::excerpt(why)));
        }
        (Some('+'), Some(_)) => into(word, variable, out, depth + 1)?,
        (Some('+'), None) => {}
        _ => return Err(format!("has `${{{}}}`, which is no variable", ellie_core::model::excerpt(inner))),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(name: &str) -> Option<String> {
        match name {
            "A" => Some("one".into()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    #[test]
    fn variables_are_filled_in_as_compose_does() {
        for (text, expected) in [
            ("$A-${A}", "one-one"),
            ("$$A", "$A"),
            ("${B:-x}${EMPTY:-x}${EMPTY-x}", "xx"),
            ("${A:+set}${EMPTY:+set}${EMPTY+set}${B+set}", "setset"),
            ("${B:-${EMPTY:-${A}}}}", "one}"),
            ("${A:?why}", "one"),
            ("é$A é", "éone é"),
        ] {
            assert_eq!(fill(text, &variable).unwrap().text, expected, "{text}");
        }
        assert_eq!(fill("$B${C}", &variable).unwrap().unset, ["B", "C"]);
    }

    #[test]
    fn what_is_no_variable_is_told() {
        for (text, words) in [
            ("${B:?set B first}", "needs the variable `B`: set B first"),
            ("${B?}", "it has to be set"),
            ("${A", "not closed"),
            ("a $ b", "`$$`"),
            ("${A/x}", "no variable"),
            ("${}", "no variable"),
            ("${A:é}", "no variable"),
        ] {
            let why = fill(text, &variable).unwrap_err();
            assert!(why.contains(words), "{text}: {why}");
        }
    }
}
