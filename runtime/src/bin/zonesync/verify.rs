//! `verify`: does a state sum up to what was announced?

use std::path::Path;

use zonesync::admin::{Answer, Request, position_text};
use zonesync::core::digest::DigestKey;
use zonesync::image::{self, FileDisk, Verified};

use crate::args::{Common, Verify};
use crate::ask::{Node, short, unexpected};
use crate::failure::Failure;
use crate::screen::{Screen, Style, clean};
use crate::table::{Cell, Table};

/// Verifies a running node, or an image without one.
pub(crate) fn verify(
    options: &Verify,
    common: &Common,
    screen: &mut Screen,
) -> Result<(), Failure> {
    let answer = match &options.image {
        Some(path) => read(path)?,
        None => Node::find(common)?.ask(&Request::Verify)?,
    };
    if screen.json {
        screen.document(&answer)?;
    }
    let Answer::Verified { position, kinds } = answer else { return Err(unexpected(&answer)) };
    if !screen.json {
        let mut table = Table::new(&["KIND", "COUNT", "SUM", ""]);
        for kind in &kinds {
            let verdict = match kind.agrees {
                true => Cell::new("agrees", Style::Good),
                false => {
                    let (count, sum) = (kind.announced_count, clean(&kind.announced_sum));
                    Cell::new(&format!("announced: {count} {sum}"), Style::Bad)
                }
            };
            let row = [kind.kind.as_str().into(), Cell::number(kind.count)];
            table.row(row.into_iter().chain([kind.sum.as_str().into(), verdict]).collect());
        }
        table.print(screen)?;
    }
    let wrong = kinds.iter().filter(|kind| !kind.agrees).count();
    if wrong > 0 {
        let text = format!("{wrong} kinds differ from what was announced at {}", short(&position));
        return Err(Failure::NotThere(text));
    }
    if !screen.json {
        let text = format!("all agrees with what was announced at {}", short(&position));
        screen.line(&screen.paint(&text, Style::Good))?;
    }
    Ok(())
}

/// Reads an image as it is, without locking or changing it.
fn read(path: &Path) -> Result<Answer, Failure> {
    let failed =
        |why: &dyn std::fmt::Display| Failure::Refused(format!("{}: {why}", path.display()));
    let bytes = FileDisk::peek(path).map_err(|error| failed(&error))?;
    let Some(bytes) = bytes else {
        return Err(Failure::NotThere(format!("there is no image at {}", path.display())));
    };
    let Verified { position, kinds } =
        image::verify(&bytes, &DigestKey::default()).map_err(|error| failed(&error))?;
    Ok(Answer::Verified { position: position_text(position), kinds })
}
