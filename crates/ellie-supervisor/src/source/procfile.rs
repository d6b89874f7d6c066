//! A Procfile: a line a process, `name: command`, run by a shell.
//!
//! Each process is offered a port in `PORT`; whether it listens there is its own affair. A file `.env` beside the
//! Procfile is read where there is one, as with other tools of the kind.

use super::Fault;
use crate::definition::{Definition, EnvFile, Port};
use std::path::Path;

/// The definitions of a Procfile that lies in `directory`.
///
/// # Errors
/// Every line that is neither a process nor a comment.
pub fn parse(text: &str, directory: &Path) -> Result<Vec<Definition>, Vec<Fault>> {
    let mut definitions = Vec::new();
    let mut faults = Vec::new();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let parts = line.split_once(':').map(|(name, command)| (name.trim(), command.trim()));
        match parts {
            Some((name, command)) if !name.is_empty() && !name.contains(char::is_whitespace) => {
                // Whatever is wrong with the name, or with an empty command, is found with the plan.
                let command: &[&str] = if command.is_empty() { &[] } else { &["/bin/sh", "-c", command] };
                let mut definition = Definition::new(name, command.iter().copied()).port(Port::Offer);
                if !directory.as_os_str().is_empty() {
                    definition.directory = Some(directory.into());
                }
                definition.env_files = vec![EnvFile { path: directory.join(".env"), required: false }];
                definitions.push(definition);
            }
            _ => faults.push(Fault { line: number + 1, message: "is not `name: command`".into() }),
        }
    }
    if faults.is_empty() { Ok(definitions) } else { Err(faults) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_processes() {
        let text =
            "# all of it\nweb: bundle exec rails s -p $PORT\n\nworker:  env A=b:c ./work | tee log \r\n";
        let found = parse(text, Path::new("app")).unwrap();
        let seen: Vec<_> = found.iter().map(|d| (d.name.as_str(), d.command[2].as_str(), d.port)).collect();
        let expected = [
            ("web", "bundle exec rails s -p $PORT", Port::Offer),
            ("worker", "env A=b:c ./work | tee log", Port::Offer),
        ];
        assert_eq!(seen, expected);
        assert_eq!(found[0].directory.as_deref(), Some(Path::new("app")));
        assert_eq!(found[0].env_files[0].path, Path::new("app/.env"));
    }

    #[test]
    fn every_line_that_is_none_is_told() {
        let faults = parse("web: ok\nno colon\n: x\ntwo words: x\n", Path::new("")).unwrap_err();
        assert_eq!(faults.iter().map(|fault| fault.line).collect::<Vec<_>>(), [2, 3, 4]);
        assert!(parse("web:\n", Path::new("")).unwrap()[0].command.is_empty());
    }
}
