//! The local image: read before all else, and kept with every turn.

use zonesync_core::format::{FormatRange, Head};
use zonesync_core::history::Claims;
use zonesync_core::node::Held;
use zonesync_core::time::Duration;

use super::Driver;

impl Driver {
    /// Reads the image, if there is one, and begins where it stands.
    pub(super) async fn begin_with_image(&mut self) {
        let (Some(keeper), Some(work)) = (&mut self.keeper, &mut self.work) else { return };
        let Some(loaded) = keeper.load(&mut work.writer).await else { return };
        let runtime = &self.tools.runtime;
        let age = runtime.wall_now().as_millis().saturating_sub(loaded.at.as_millis());
        // An image from the future is none that a clock can vouch for; it is taken as new.
        let age = Duration::from_millis(u64::try_from(age).unwrap_or(0));
        let head = loaded.head;
        work.guard = head.guard;
        work.zone = Some((head.incarnation, head.filter));
        let (position, digest) = (head.list.position(), head.digest);
        let held = Held { position, list: head.list, digest, source: head.source };
        self.node.handle_image(runtime.now(), held, self.image_age_max.saturating_sub(age));
    }

    /// Hands what became of the own state to the image.
    pub(super) fn keep_image(&mut self) {
        let Some(work) = &mut self.work else { return };
        let (Some(keeper), Some(held)) = (&mut self.keeper, self.node.held()) else {
            work.kept.clear();
            if let Some(keeper) = &mut self.keeper {
                keeper.begin_anew();
            }
            return;
        };
        let (incarnation, filter) =
            work.zone.unwrap_or((self.tools.incarnation, self.tools.filter));
        let end = Box::new(Head {
            incarnation,
            format: FormatRange::KNOWN.oldest,
            list: held.list.clone(),
            claims: Claims::new(),
            snapshot: None,
            digest: held.digest.clone(),
            source: held.source,
            filter,
            guard: work.guard.clone(),
        });
        let in_sync = self.node.standing(self.tools.runtime.now()).in_sync;
        keeper.keep(&work.writer, &mut work.kept, end, in_sync);
    }

    /// Lets the image be written to its end, within a TTL.
    pub(super) async fn close_image(&mut self) {
        if let Some(keeper) = &mut self.keeper {
            let late = self.tools.runtime.sleep(self.asker.ttl);
            futures_lite::future::or(keeper.close(), late).await;
        }
    }
}
