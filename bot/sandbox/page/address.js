// Who uses the page, and in which channel, is in the address: every tab can be somebody else, and a reload keeps it.

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
