import { ServerConnection } from '@jupyterlab/services';
import { describe, expect, it } from 'vitest';

import { failureOf, LibraryRequests, RequestFailed } from '../src/request';
import { aModel, aStatus } from './answers';

type Answer = (request: Request) => Promise<Response>;

function requestsTo(answer: Answer): LibraryRequests {
  return new LibraryRequests(
    ServerConnection.makeSettings({
      baseUrl: 'http://localhost:8888/user/ada/',
      token: '',
      fetch: (input, init) => answer(new Request(input, init))
    })
  );
}

function json(body: unknown, status = 200): Response {
  return new Response(JSON.stringify(body), { status });
}

async function failureWith(answer: Answer): Promise<unknown> {
  try {
    await requestsTo(answer).status();
  } catch (error) {
    if (error instanceof RequestFailed) {
      return error.failure;
    }
    throw error;
  }
  throw new Error('the request did not fail');
}

describe('LibraryRequests', () => {
  it('asks below the base URL of the server', async () => {
    const urls: string[] = [];
    const status = await requestsTo(request => {
      urls.push(request.url);
      return Promise.resolve(json(aStatus()));
    }).status();
    expect(status).toEqual(aStatus());
    // Without parameters that the server would refuse.
    expect(urls).toEqual([
      'http://localhost:8888/user/ada/norman/api/v1/status'
    ]);
  });

  it('encodes the cursor of a page', async () => {
    const urls: URL[] = [];
    await requestsTo(request => {
      urls.push(new URL(request.url));
      return Promise.resolve(json({ items: [aModel()] }));
    }).models({ limit: 10, cursor: 'a&b=c' });
    expect(urls[0].searchParams.get('cursor')).toBe('a&b=c');
    expect(urls[0].searchParams.get('limit')).toBe('10');
  });

  it('reports a server that does not answer', async () => {
    const failure = await failureWith(() =>
      Promise.reject(new TypeError('Failed to fetch'))
    );
    expect(failure).toEqual({ kind: 'unreachable' });
  });

  it('reports an answer that breaks off', async () => {
    const failure = await failureWith(() =>
      Promise.resolve(
        new Response(
          new ReadableStream({
            start(controller) {
              controller.error(new TypeError('network error'));
            }
          })
        )
      )
    );
    expect(failure).toEqual({ kind: 'unreachable' });
  });

  it('reports an answer that is not JSON', async () => {
    const failure = await failureWith(() =>
      Promise.resolve(new Response('<html>'))
    );
    expect(failure).toMatchObject({ kind: 'failed' });
  });

  it('reports an answer of another shape, with the place', async () => {
    const failure = await failureWith(() =>
      Promise.resolve(json({ ...aStatus(), version: null }))
    );
    expect(failure).toEqual({
      kind: 'failed',
      message: 'version is not text.',
      requestId: null
    });
  });
});

describe('failureOf', () => {
  it.each([401, 403])('takes %i for a refusal', status => {
    expect(failureOf(status, '{}')).toEqual({ kind: 'refused' });
  });

  it('takes a 404 of Jupyter itself for an absent extension', () => {
    expect(failureOf(404, '<html>404</html>')).toEqual({ kind: 'absent' });
    expect(failureOf(404, '{"message": "Not Found", "reason": null}')).toEqual({
      kind: 'absent'
    });
  });

  it('takes a 404 of ours for an error', () => {
    const body = JSON.stringify({
      code: 'model_not_found',
      message: 'There is no model x.'
    });
    expect(failureOf(404, body)).toEqual({
      kind: 'failed',
      message: 'There is no model x.',
      requestId: null
    });
  });

  it.each([502, 503, 504])('takes a %i of a proxy for silence', status => {
    expect(failureOf(status, '<html>')).toEqual({ kind: 'unreachable' });
  });

  it('keeps message and request of a 503 of ours', () => {
    const body = JSON.stringify({
      code: 'executor_unavailable',
      message: 'The executor restarts.',
      request_id: 'r-9'
    });
    expect(failureOf(503, body)).toEqual({
      kind: 'failed',
      message: 'The executor restarts.',
      requestId: 'r-9'
    });
  });

  it('names the status where there is nothing else', () => {
    expect(failureOf(500, '')).toMatchObject({ message: 'HTTP status 500' });
  });
});
