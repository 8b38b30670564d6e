//! Files and appendable uploads among the steps, in a bucket of their own that keeps a catalogue.

use super::Play;
use crate::store::name::BucketName;
use crate::store::tests::agreement::agreed;
use crate::store::tests::lives::{Is, Lives, Place, Request, permits};

/// Slots of files: few, so that files of one key meet.
const SLOTS: u64 = 2;

/// What the model knows of them.
#[derive(Default)]
pub(super) struct Known {
    lives: Lives,
    /// Whether there is a bucket for them.
    made: bool,
    begun: u64,
}

impl Play {
    fn place(&self) -> Place {
        Place {
            store: self.ground.store().clone(),
            bucket: BucketName::parse("files").unwrap(),
        }
    }

    async fn made_place(&mut self) -> Result<Place, String> {
        let place = self.place();
        if !self.lives.made {
            place.make().await?;
            self.lives.made = true;
        }
        Ok(place)
    }

    /// What is asked for next; `None`: an upload is begun.
    fn next_life(&mut self, number: u16) -> Option<Request> {
        self.lives.begun += 1;
        let (lives, number) = (&self.lives.lives, u64::from(number));
        match number % 4 {
            0 => lives.next_of_upload(number / 4),
            _ => Some(lives.next_of_file(number / 4 % SLOTS, self.lives.begun, number / 8)),
        }
    }

    pub(super) async fn life(&mut self, number: u16) -> Result<(), String> {
        let place = self.made_place().await?;
        match self.next_life(number) {
            Some(request) => {
                place.ask(&request).await?;
                let found = place.find(request.who).await?;
                self.settle_life(&request, found, &[request.to])
            }
            None => {
                let (who, is) = place.begin(self.lives.begun).await?;
                self.lives.lives.note(who, is);
                Ok(())
            }
        }
    }

    /// What is under way when the power goes is done or not, and a part of it only of bytes that are appended.
    pub(super) async fn life_cut(&mut self, number: u16) -> Result<(), String> {
        let place = self.made_place().await?;
        let Some(request) = self.next_life(number) else {
            return self.life(number).await;
        };
        let asking = tokio::spawn(async move { place.ask(&request).await });
        for _ in 0..number % 23 {
            tokio::task::yield_now().await;
        }
        asking.abort();
        let acknowledged = matches!(asking.await, Ok(Ok(())));
        self.ground.dirty_reboot().await?;
        let found = self.place().find(request.who).await?;
        match acknowledged {
            true => self.settle_life(&request, found, &[request.to])?,
            false => self.settle_life(&request, found, &[request.from, request.to])?,
        }
        self.look_at_lives().await
    }

    fn settle_life(&mut self, request: &Request, found: Is, allowed: &[Is]) -> Result<(), String> {
        if !permits(allowed, found) {
            return Err(format!("{request:?}: {found:?} is found"));
        }
        self.lives.lives.note(request.who, found);
        Ok(())
    }

    /// All of them are what they were, and catalogue, objects and index agree.
    pub(super) async fn look_at_lives(&self) -> Result<(), String> {
        if !self.lives.made {
            return Ok(());
        }
        let place = self.place();
        for (who, is) in &self.lives.lives.0 {
            let found = place.find(*who).await.map_err(|why| format!("{}: {why}", who.name()))?;
            if found != *is {
                return Err(format!("{} is {found:?}, not {is:?}", who.name()));
            }
        }
        agreed(place.store.backend().as_ref(), &place.bucket).await.map(drop)
    }
}
