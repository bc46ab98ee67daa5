import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { useProxies } from './proxies.ts';

it('a command leaves through the proxies of its environment, but to this machine, until that is ended', async () => {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.headers.host}`);
    response.end('by the proxy');
  });
  server.on('connect', (request, socket) => {
    asked.push(`CONNECT ${request.url}`);
    socket.write('HTTP/1.1 200 OK\r\n\r\n');
    server.emit('connection', socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const end = useProxies({ HTTP_PROXY: `http://127.0.0.1:${port}` });
  try {
    const answer = await fetch('http://registry.example/v2/');
    expect(await answer.text()).toBe('by the proxy');
    expect(asked.at(-1)).toBe('GET registry.example');
    asked.length = 0;
    await (await fetch(`http://127.0.0.1:${port}/`)).text();
    expect(asked).toEqual([`GET 127.0.0.1:${port}`]);
  } finally {
    end();
  }
  await expect(fetch('http://registry.invalid/')).rejects.toThrow();
});

it('an environment without proxies changes nothing', () => {
  expect(useProxies({ NO_PROXY: '*', PATH: '/bin' })()).toBeUndefined();
});
