//! What the system tells of this process; nothing where it does not.

use std::fs;

/// Clock ticks per second in `/proc`: fixed for programs on Linux, whatever the kernel counts with.
const TICKS: f64 = 100.0;
/// Bytes of a page in `/proc/self/statm` on the systems ellie is built for; `VmRSS` is read instead where there is one.
const KIB: u64 = 1024;

/// Resident memory, and what there may be, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    pub(crate) used: u64,
    pub(crate) total: u64,
}

/// The process as its metrics tell it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Process {
    pub(crate) cpu_seconds: f64,
    pub(crate) resident_bytes: u64,
    pub(crate) virtual_bytes: u64,
    pub(crate) open_fds: u64,
    pub(crate) max_fds: u64,
    pub(crate) start_time: f64,
    pub(crate) threads: u64,
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// A line such as `VmRSS:   1234 kB`, in bytes.
fn kib_field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':'))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * KIB)
}

/// Memory of this process beside the control group's limit, else the machine's memory.
pub(crate) fn memory() -> Memory {
    let machine = kib_field(&read("/proc/meminfo"), "MemTotal").unwrap_or(0);
    let limit = read("/sys/fs/cgroup/memory.max").trim().parse::<u64>().ok().filter(|l| *l < machine);
    Memory {
        used: kib_field(&read("/proc/self/status"), "VmRSS").unwrap_or(0),
        total: limit.unwrap_or(machine),
    }
}

/// Everything there is to tell; `None` where there is no `/proc`.
pub(crate) fn process() -> Option<Process> {
    let stat = read("/proc/self/stat");
    // The program's name may hold spaces and parentheses; what follows the last one does not.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |n: usize| fields.get(n).and_then(|f| f.parse::<f64>().ok());
    let status = read("/proc/self/status");
    let boot = read("/proc/stat");
    let boot = boot.lines().find_map(|l| l.strip_prefix("btime ")?.trim().parse::<f64>().ok())?;
    let limits = read("/proc/self/limits");
    let max_fds = limits
        .lines()
        .find_map(|l| l.strip_prefix("Max open files")?.split_whitespace().next()?.parse().ok());
    Some(Process {
        cpu_seconds: (number(11)? + number(12)?) / TICKS,
        threads: number(17)? as u64,
        start_time: boot + number(19)? / TICKS,
        virtual_bytes: number(20)? as u64,
        resident_bytes: kib_field(&status, "VmRSS").unwrap_or(0),
        open_fds: fs::read_dir("/proc/self/fd").map_or(0, |d| d.count() as u64),
        max_fds: max_fds.unwrap_or(0),
    })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_seen() {
        let p = process().unwrap();
        assert!(p.resident_bytes > 1 << 20 && p.virtual_bytes >= p.resident_bytes, "{p:?}");
        assert!(p.open_fds >= 3 && p.max_fds >= p.open_fds && p.threads >= 1, "{p:?}");
        let m = memory();
        assert!(m.used > 1 << 20 && m.total > m.used, "{m:?}");
    }
}
