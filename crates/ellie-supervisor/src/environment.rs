//! The environment of a process, and what of a command it fills in.

use crate::definition::{Definition, EnvFile};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;

/// The largest file of variables that is read.
const MAX_FILE: u64 = 1 << 20;

/// The whole environment: `base`, then `given` by whoever composes, then the files, then the definition's own, then
/// the port, each over the one before.
pub(crate) fn of(
    definition: &Definition,
    base: &[(OsString, OsString)],
    given: Vec<(String, String)>,
    port: Option<u16>,
) -> Result<Vec<(OsString, OsString)>, String> {
    let mut all: BTreeMap<OsString, OsString> = base.iter().cloned().collect();
    all.extend(given.into_iter().map(|(name, value)| (name.into(), value.into())));
    for file in &definition.env_files {
        all.extend(read(file)?.into_iter().map(|(name, value)| (name.into(), value.into())));
    }
    all.extend(definition.environment.iter().map(|(name, value)| (name.into(), value.into())));
    all.extend(port.map(|port| ("PORT".into(), port.to_string().into())));
    Ok(all.into_iter().collect())
}

/// The lines of one file.
pub(crate) fn read(file: &EnvFile) -> Result<Vec<(String, String)>, String> {
    let shown = file.path.display();
    let open = std::fs::File::open(&file.path).and_then(|open| match open.metadata()? {
        metadata if metadata.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        metadata if metadata.len() > MAX_FILE => Err(io::ErrorKind::FileTooLarge.into()),
        _ => Ok(open),
    });
    let open = match open {
        Ok(open) => open,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !file.required => return Ok(Vec::new()),
        Err(error) => return Err(format!("its env_file `{shown}` can't be read: {error}")),
    };
    let text = io::read_to_string(io::Read::take(open, MAX_FILE))
        .map_err(|error| format!("its env_file `{shown}` can't be read: {error}"))?;
    let text = quoted(&text);
    let lines = dotenvy::from_read_iter(text.as_bytes());
    let pairs: Result<Vec<_>, _> = lines.collect();
    pairs.map_err(|error| match error {
        // The line itself may be a secret.
        dotenvy::Error::LineParse(line, _) => {
            let name: String =
                line.chars().take_while(|c| c.is_alphanumeric() || *c == '_').take(64).collect();
            format!("its env_file `{shown}` has a line that is not NAME=value, beginning with `{name}`")
        }
        error => format!("its env_file `{shown}` can't be read: {error}"),
    })
}

/// `text` with quotes around values that have blanks in them and none: the reader of such files refuses them, and other
/// tools do not.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut open: Option<char> = None;
    for line in text.lines() {
        let value = match open {
            None => line.split_once('=').map(|(name, value)| (name, value.trim())),
            Some(_) => None,
        };
        match (open, value) {
            // A quoted value may go on over lines, which are not to be touched.
            (Some(quote), _) => open = Some(quote).filter(|quote| !line.contains(*quote)),
            (None, Some((_, value))) if value.starts_with(['"', '\'']) => {
                open = value.chars().next().filter(|quote| !value[1..].contains(*quote));
            }
            (None, Some((name, value))) if !name.trim_start().starts_with('#') => {
                let end = value.find(" #").unwrap_or(value.len());
                let bare = value[..end].trim_end();
                if bare.contains(char::is_whitespace) && !bare.contains(['"', '\'', '\\']) {
                    out.push_str(&format!("{name}=\"{bare}\"\n"));
                    continue;
                }
            }
            _ => {}
        }
        out.push_str(line);
        out.push('\n');
    }
    out
}

/// `word` with `$NAME` and `${NAME}` filled in where `environment` has the name.
pub(crate) fn expand(word: &str, environment: &[(OsString, OsString)]) -> String {
    let lookup = |name: &str| {
        let found = environment.iter().find(|(other, _)| other.to_str() == Some(name))?;
        found.1.to_str()
    };
    let mut out = String::new();
    let mut rest = word;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let (name, length) = match rest[1..].strip_prefix('{') {
            Some(inner) => match inner.find('}') {
                Some(end) => (&inner[..end], end + 3),
                None => ("", 1),
            },
            None => {
                let end = rest[1..].find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                let name = &rest[1..end.map_or(rest.len(), |end| end + 1)];
                (name, name.len() + 1)
            }
        };
        out.push_str(lookup(name).unwrap_or(&rest[..length]));
        rest = &rest[length..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn environment(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
        pairs.iter().map(|(name, value)| (name.into(), value.into())).collect()
    }

    #[test]
    fn values_with_blanks_need_no_quotes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.env");
        let text = "# A=a comment\nA=good morning\nexport B=x y # told\nC='kept  # as'\nD=\"two\nE=of it\"\nF=plain\nG=\n";
        std::fs::write(&path, text).unwrap();
        let pairs = read(&EnvFile { path, required: true }).unwrap();
        let pairs: Vec<(&str, &str)> =
            pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let expected = [
            ("A", "good morning"),
            ("B", "x y"),
            ("C", "kept  # as"),
            ("D", "two\nE=of it"),
            ("F", "plain"),
            ("G", ""),
        ];
        assert_eq!(pairs, expected);
    }

    #[test]
    fn variables_are_filled_in_and_all_else_is_left() {
        let environment = environment(&[("PORT", "81"), ("EMPTY", ""), ("a", "$PORT")]);
        for (word, expected) in [
            ("--port=$PORT", "--port=81"),
            ("http://h:${PORT}/", "http://h:81/"),
            ("$PORT$PORT", "8181"),
            ("[$EMPTY]", "[]"),
            ("$a", "$PORT"),
            ("$NONE ${NONE} $ $$ ${ $1 é$", "$NONE ${NONE} $ $$ ${ $1 é$"),
            ("$PORTé", "81é"),
        ] {
            assert_eq!(expand(word, &environment), expected, "{word}");
        }
    }

    #[test]
    fn later_layers_hold() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("one.env");
        std::fs::write(&path, "# comment\nA=file\nB=\"two words\"\nexport C=3\nPORT=1\n").unwrap();
        let mut definition = Definition::new("x", ["true"]).env("A", "own");
        definition.env_files = vec![
            EnvFile { path, required: true },
            EnvFile { path: directory.path().join("none"), required: false },
        ];
        let given = vec![("B".to_owned(), "given".to_owned()), ("D".to_owned(), "given".to_owned())];
        let all = of(&definition, &environment(&[("A", "base"), ("E", "base")]), given, Some(81)).unwrap();
        let expected =
            [("A", "own"), ("B", "two words"), ("C", "3"), ("D", "given"), ("E", "base"), ("PORT", "81")];
        assert_eq!(all, environment(&expected));
    }

    #[test]
    fn a_file_that_cannot_be_used_is_named_and_its_secrets_are_not() {
        let directory = tempfile::tempdir().unwrap();
        let of_file = |path: &Path| {
            let mut definition = Definition::new("x", ["true"]);
            definition.env_files = vec![EnvFile { path: path.into(), required: true }];
            of(&definition, &[], Vec::new(), None).unwrap_err()
        };
        assert!(of_file(&directory.path().join("none")).contains("none` can't be read: No such file"));
        assert!(of_file(directory.path()).contains("is a directory"), "{}", of_file(directory.path()));
        let torn = directory.path().join("torn.env");
        std::fs::write(&torn, "OK=1\nPASSWORD 'hunter2\n").unwrap();
        let fault = of_file(&torn);
        assert!(fault.contains("beginning with `PASSWORD`") && !fault.contains("hunter2"), "{fault}");
    }
}
