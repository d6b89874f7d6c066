//! `ellie logs`.

use super::super::args::{Format, LogsArgs};
use super::super::client::segment;
use super::super::context::Context;
use super::super::error::{Code, Error, Result};
use super::super::events::follow;
use crate::app::lines::Painter;
use ellie_api::process::{LogLine, Logs, Processes};

pub(crate) fn logs(ctx: &Context, args: &LogsArgs) -> Result<()> {
    let client = ctx.client()?;
    let name = args.name.as_deref().unwrap_or("-");
    // Whose lines they are, so that all of them have the same room.
    let known: Processes = client.get(&format!("/processes/{}", segment(name)))?;
    let painter = Painter::new(known.processes.into_iter().map(|p| p.name).collect());
    let path = format!("/processes/{}/logs?tail={}", segment(name), args.tail);
    if !args.follow {
        let past: Logs = client.get(&path)?;
        return ctx.out.print(
            &past,
            &past.lines,
            |line| line.text.clone(),
            |text| {
                for line in &past.lines {
                    text.push_str(&painter.paint(&line.process, &line.stream, &line.text));
                }
            },
        );
    }
    follow(&client, &format!("{path}&follow=true"), None, |kind, _, data| {
        if kind == "resync" {
            anstream::eprintln!("… some lines were missed: they are no longer kept");
            return Ok(true);
        }
        let Ok(line) = serde_json::from_str::<LogLine>(data) else { return Ok(true) };
        match ctx.out.format {
            Format::Table => ctx.out.write(&painter.paint(&line.process, &line.stream, &line.text))?,
            Format::Name => ctx.out.write(&format!("{}\n", line.text))?,
            // A stream has no end, so its JSON is a line each.
            Format::Json | Format::Jsonl => {
                let json = serde_json::to_string(&line)
                    .map_err(|e| Error::new(Code::Failed, "a line can't be written as JSON").because(e))?;
                ctx.out.write(&format!("{json}\n"))?;
            }
        }
        Ok(true)
    })
}
