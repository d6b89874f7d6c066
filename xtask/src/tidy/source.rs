//! Rules for Rust files.

use super::{Fault, File};

/// Lines a file may have before its tests: what fits in the head.
const LINES: usize = 500;

/// Files that may be longer, each with the reason.
const LONGER: &[(&str, &str)] = &[];

/// Crate roots that may hold `unsafe` (the lint still denies it wherever it is not allowed by name), with the reason.
const UNSAFE: &[(&str, &str)] = &[];

/// Every broken rule of one file.
pub(crate) fn check(file: &File) -> Vec<Fault> {
    let rules = Rules::of(file);
    let mut faults = Vec::new();
    rules.length(&mut faults);
    rules.forbids_unsafe(&mut faults);
    if !file.path.starts_with("xtask/src/tidy/") {
        rules.unfinished(&mut faults);
        rules.unwraps(&mut faults);
        rules.sleeps(&mut faults);
        rules.test_names(&mut faults);
    }
    faults
}

struct Rules<'a> {
    path: &'a str,
    lines: Vec<&'a str>,
    /// The first line (from 0) of the tests; all of it for a file that is one.
    tests_from: usize,
    /// What no user runs: a test, a benchmark with its tools, a fuzz target.
    aside: bool,
}

impl<'a> Rules<'a> {
    fn of(file: &'a File) -> Self {
        let lines: Vec<&str> = file.text.lines().collect();
        let path = file.path.as_str();
        let folder = |name: &str| path.split('/').any(|part| part == name);
        let aside = folder("tests")
            || folder("benches")
            || folder("fuzz")
            || path.starts_with("bench/")
            || path.ends_with("/tests.rs");
        let starts = |line: &str| {
            line.trim_start().starts_with("#[cfg(test") || line.trim_start().starts_with("#[cfg(all(test")
        };
        let tests_from =
            if aside { 0 } else { lines.iter().position(|line| starts(line)).unwrap_or(lines.len()) };
        Self { path, lines, tests_from, aside }
    }

    fn fault(&self, faults: &mut Vec<Fault>, line: usize, message: impl Into<String>) {
        faults.push(Fault::new(self.path, line + 1, message));
    }

    /// The lines of code, without those that are only a comment, numbered from 0.
    fn code(&self) -> impl Iterator<Item = (usize, &'a str)> {
        self.lines.iter().copied().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    fn length(&self, faults: &mut Vec<Fault>) {
        let excused = LONGER.iter().any(|(path, _)| *path == self.path);
        if !self.aside && !excused && self.tests_from > LINES {
            let message =
                format!("{} lines before the tests, {LINES} at most: split it by concept", self.tests_from);
            faults.push(Fault::new(self.path, 0, message));
        }
    }

    fn forbids_unsafe(&self, faults: &mut Vec<Fault>) {
        let root = self.path.ends_with("src/lib.rs") || self.path.ends_with("src/main.rs");
        let ours = self.path.starts_with("crates/") || self.path.starts_with("xtask/");
        let excused = UNSAFE.iter().any(|(path, _)| *path == self.path);
        if root && ours && !excused && !self.lines.contains(&"#![forbid(unsafe_code)]") {
            faults.push(Fault::new(self.path, 0, "a crate without #![forbid(unsafe_code)]"));
        }
    }

    fn unfinished(&self, faults: &mut Vec<Fault>) {
        const MARKS: [&str; 5] = ["todo!(", "unimplemented!(", "FIXME", "TODO", "XXX"];
        for (number, line) in self.lines.iter().enumerate() {
            if let Some(mark) = MARKS.iter().find(|mark| line.contains(*mark)) {
                self.fault(faults, number, format!("`{mark}`: finish it, or say in words what is not there"));
            }
            if line.contains("#[ignore") {
                self.fault(faults, number, "a test that is switched off tells nothing");
            }
        }
    }

    fn unwraps(&self, faults: &mut Vec<Fault>) {
        for (number, line) in self.code().take_while(|(number, _)| *number < self.tests_from) {
            if line.contains(".unwrap()") {
                self.fault(
                    faults,
                    number,
                    "`unwrap()` outside tests: handle it, or `expect` with the invariant",
                );
            }
        }
    }

    /// A test that sleeps is slow when it need not be and flaky when it must not be. On tokio's paused
    /// time a sleep is only a way to move the clock, so it may stand there.
    fn sleeps(&self, faults: &mut Vec<Fault>) {
        let paused =
            self.lines.iter().any(|line| line.contains("start_paused") || line.contains("time::pause()"));
        for (number, line) in self.code().skip_while(|(number, _)| *number < self.tests_from) {
            let sleeps = line.contains("thread::sleep(") || (!paused && line.contains("time::sleep("));
            if sleeps && !self.path.contains("/benches/") {
                self.fault(faults, number, "a test that sleeps: wait for the condition, or pause the clock");
            }
        }
    }

    fn test_names(&self, faults: &mut Vec<Fault>) {
        for (number, pair) in
            self.lines.windows(2).enumerate().skip_while(|(number, _)| *number < self.tests_from)
        {
            let attribute = pair[0].trim();
            if !(attribute == "#[test]" || attribute.starts_with("#[tokio::test")) {
                continue;
            }
            let name =
                pair[1].split("fn ").nth(1).and_then(|rest| rest.split('(').next()).unwrap_or_default();
            if name.starts_with("test") || name == "it_works" {
                self.fault(faults, number + 1, format!("`{name}`: a test is named after what it shows"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(path: &str, text: &str) -> Vec<(usize, String)> {
        let file = File { path: path.to_owned(), text: text.to_owned() };
        check(&file).into_iter().map(|fault| (fault.line, fault.message)).collect()
    }

    #[test]
    fn unwrap_is_for_tests_and_comments() {
        let text =
            "/// x.unwrap()\nfn f() { x.unwrap() }\n#[cfg(test)]\nmod tests { fn g() { x.unwrap() } }\n";
        let found = faults("crates/a/src/b.rs", text);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].0, 2);
        assert!(faults("crates/a/tests/b.rs", "fn f() { x.unwrap() }").is_empty());
    }

    #[test]
    fn length_counts_to_the_tests() {
        let long = "fn f() {}\n".repeat(LINES);
        assert!(
            faults("crates/a/src/b.rs", &format!("{long}#[cfg(test)]\nmod tests {{}}\n{long}")).is_empty()
        );
        assert_eq!(faults("crates/a/src/b.rs", &format!("{long}fn g() {{}}\n")).len(), 1);
        assert!(faults("crates/a/tests/b.rs", &format!("{long}{long}")).is_empty());
    }

    #[test]
    fn a_crate_root_forbids_unsafe_code() {
        assert_eq!(faults("crates/a/src/lib.rs", "//! A\n").len(), 1);
        assert!(faults("crates/a/src/lib.rs", "//! A\n#![forbid(unsafe_code)]\n").is_empty());
        assert!(faults("crates/a/src/b.rs", "//! B\n").is_empty());
    }

    #[test]
    fn unfinished_work_is_found_anywhere() {
        for text in ["fn f() { todo!() }", "// FIXME later", "#[ignore]\nfn f() {}"] {
            assert_eq!(faults("crates/a/src/b.rs", text).len(), 1, "{text}");
        }
    }

    #[test]
    fn sleeps_are_for_paused_clocks() {
        let sleep = "tokio::time::sleep(a).await;\n";
        assert_eq!(faults("crates/a/tests/b.rs", sleep).len(), 1);
        assert!(
            faults("crates/a/tests/b.rs", &format!("#[tokio::test(start_paused = true)]\n{sleep}"))
                .is_empty()
        );
        assert!(faults("crates/a/src/b.rs", sleep).is_empty());
    }

    #[test]
    fn a_test_says_what_it_shows() {
        assert_eq!(faults("crates/a/tests/b.rs", "#[test]\nfn test_one() {}\n").len(), 1);
        assert!(faults("crates/a/tests/b.rs", "#[test]\nfn an_empty_set_is_empty() {}\n").is_empty());
    }
}
