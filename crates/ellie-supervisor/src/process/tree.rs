//! Who descends from a process.

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

/// Everything that `root` started and that still runs, found by parentage; zombies are left out. Empty where the
/// system has no `/proc`.
pub(super) fn descendants(root: Pid) -> Vec<Pid> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let mut processes: Vec<(i32, i32)> = Vec::new();
    for entry in entries.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        processes.extend(parent(&stat).map(|parent| (pid, parent)));
    }
    let mut found = vec![root.as_raw()];
    let mut at = 0;
    while at < found.len() {
        let of = found[at];
        found.extend(processes.iter().filter(|(_, parent)| *parent == of).map(|(pid, _)| *pid));
        at += 1;
    }
    found.into_iter().skip(1).map(Pid::from_raw).collect()
}

/// The parent in a line of `/proc/PID/stat`, unless the process is a zombie. The name in it, in brackets, may hold
/// anything.
fn parent(stat: &str) -> Option<i32> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    if state == "Z" || state == "X" {
        return None;
    }
    fields.next()?.parse().ok()
}

/// Sends `signal` to a whole group at once; whether there was anyone.
pub(super) fn signal_group(group: Pid, signal: Signal) -> bool {
    // 0, 1 and negative ids mean somebody else.
    group.as_raw() > 1 && killpg(group, signal).is_ok()
}

/// Whether a group has members.
pub(super) fn group_exists(group: Pid) -> bool {
    group.as_raw() > 1 && killpg(group, None).is_ok()
}

/// Sends `signal` to one process, which may have ended meanwhile.
pub(super) fn signal_one(pid: Pid, signal: Signal) {
    if pid.as_raw() > 1 {
        let _ = kill(pid, signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_look_like_fields() {
        assert_eq!(parent("12 (a) S 1 (b) R 7 12 12 0 -1"), Some(7));
        assert_eq!(parent("12 (sh) Z 7 12"), None);
        assert_eq!(parent(""), None);
    }

    #[test]
    fn a_child_descends_from_this_process() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = Pid::from_raw(child.id().cast_signed());
        assert!(descendants(Pid::this()).contains(&pid));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!descendants(Pid::this()).contains(&pid));
    }
}
