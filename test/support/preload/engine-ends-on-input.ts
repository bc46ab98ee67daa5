/** Loaded into a runtime and its engine by NODE_OPTIONS: the engine ends by a signal when it is given a prompt with this word. */
const word = 'poison';
if (/engine[/-]process[/-]main\.m?[jt]s$/.test(process.argv[1] ?? '')) {
  process.on('message', (message: unknown) => {
    if (JSON.stringify(message).includes(word)) process.kill(process.pid, 'SIGKILL');
  });
}
