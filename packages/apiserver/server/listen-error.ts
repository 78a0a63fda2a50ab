/** A listen error in words that name address and port and say what to do. */
export function describeListenError(error: NodeJS.ErrnoException, host: string, port: number): Error {
  switch (error.code) {
    case 'EADDRINUSE':
      return new Error(`port ${port} on ${host} is already in use; choose another one with --secure-port`, { cause: error });
    case 'EADDRNOTAVAIL':
      return new Error(`${host} is not an address of this machine; choose another one with --bind-address`, { cause: error });
    case 'EACCES':
      return new Error(`no permission to listen on port ${port} of ${host}; choose a port above 1023 with --secure-port`, { cause: error });
    default:
      return new Error(`cannot listen on ${host}:${port}: ${error.message}`, { cause: error });
  }
}
