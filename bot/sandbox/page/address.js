// The address has the user and the channel, so every tab can be another user, and a reload keeps them.

export function currentAddress() {
  const [userId, channelId] = location.hash.slice(1).split("/");
  return { userId: userId || null, channelId: channelId || null };
}

export function switchTo(userId, channelId = currentAddress().channelId) {
  location.hash = `${userId}/${channelId ?? ""}`;
}

export function openChannel(channelId) {
  switchTo(currentAddress().userId, channelId);
}
