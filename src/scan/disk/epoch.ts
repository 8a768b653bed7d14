// When what was seen on disk is believed.

/** Nothing is looked at in this epoch: what bears its number was seen by an earlier server. */
export const RESTORED_EPOCH = 0;
/** A file this young when it was read may change again without its times showing it (they tick every few ms). */
export const RACY_MS = 100;
/** The same where times come from a server's clock. */
export const RACY_REMOTE_MS = 3000;
