//! The explanation of a setting of an interface, as text.

use crate::explain::declared::declared;
use crate::explain::key::holder;
use crate::explain::row::row;
use crate::paint::Paint;
use netkeel_diagnose::explain::field::FieldExplained;

/// The explanation.
pub fn field(explained: &FieldExplained, paint: Paint) -> String {
    let title = paint.bold(format_args!("{}.{}", explained.link, explained.field));
    let mut out = format!("{title}\n");
    row(
        &mut out,
        "live",
        explained.live.as_deref().unwrap_or("absent, or not read"),
    );
    if let Some((min, max)) = explained.range {
        let max = match max {
            0 => "any".to_owned(),
            max => max.to_string(),
        };
        row(&mut out, "accepts", format_args!("{min} to {max}"));
    }
    if let Some(declares) = &explained.declared {
        declared(&mut out, declares);
    }
    if let Some(held) = &explained.held {
        holder(&mut out, held, false);
    }
    for note in &explained.notes {
        row(&mut out, "note", note);
    }
    out
}
