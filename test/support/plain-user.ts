/** Commands that run as a user without rights, in a mount namespace where /dev/net/tun is what the test wants it to be. Needs root. */

export interface PlainUser {
  readonly uid: number;
  /** What the command and its arguments are put behind. */
  readonly prefix: readonly string[];
}

const devices = {
  /** Everybody may use it, as most machines have it. */
  allowed: 'mknod /mnt/tun c 10 200; chmod 666 /mnt/tun; touch /dev/net/tun; mount --bind /mnt/tun /dev/net/tun',
  absent: 'mkdir /mnt/net; mount --bind /mnt/net /dev/net',
} as const;

export function plainUser(uid: number, tunnel: keyof typeof devices): PlainUser {
  const script = `set -e; mkdir -p /dev/net; mount -t tmpfs none /mnt; ${devices[tunnel]}; exec setpriv --reuid ${uid} --regid ${uid} --clear-groups "$@"`;
  return { uid, prefix: ['unshare', '--mount', 'sh', '-c', script, 'sh'] };
}
