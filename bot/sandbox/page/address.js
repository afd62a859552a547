// The address has the user and the channel, so every tab can be another user, and a reload keeps them. A message may
// follow: one to go to, once.

export function currentAddress() {
  const [userId, channelId, messageId] = location.hash.slice(1).split("/");
  return { userId: userId || null, channelId: channelId || null, messageId: messageId || null };
}

export function switchTo(userId, channelId = currentAddress().channelId) {
  location.hash = `${userId}/${channelId ?? ""}`;
}

export function openChannel(channelId) {
  switchTo(currentAddress().userId, channelId);
}

/** Where a link leads that opens a channel, or a message in it, as the present user. */
export function addressOf(channelId, messageId = null) {
  return `#${[currentAddress().userId, channelId, messageId].filter(Boolean).join("/")}`;
}
