//! The binary `ellie`: everything is in the library beside it.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    // A process that `ellie up` starts has a guard: this program once more.
    if let Some(code) = ellie::supervisor::guard::run_if_asked() {
        return code;
    }
    ellie_server::cli::main()
}
