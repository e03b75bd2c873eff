// The only place that asks the server.

import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

import type { ModelPage, ServerStatus } from './api';
import {
  decodeError,
  decodeModelPage,
  type Decoder,
  decodeStatus,
  DecodingError
} from './decoding';
import type { Connection } from './tokens';

const API_PATH = 'norman/api/v1';

// Ask the server every time. JupyterLab's own 'no-store' appends the time to
// the query, and the server refuses parameters that it doesn't know.
const INIT: RequestInit = { cache: 'no-cache' };

/** The kinds of failure, as the state of a connection names them. */
export type Failure = Exclude<Connection, { kind: 'loading' | 'online' }>;

/** A question that the server didn't answer as asked. */
export class RequestFailed extends Error {
  constructor(readonly failure: Failure) {
    super(failure.kind === 'failed' ? failure.message : failure.kind);
    this.name = 'RequestFailed';
  }
}

/** Questions that the library asks. */
export interface ILibraryRequests {
  status(): Promise<ServerStatus>;
  models(options: { limit: number; cursor: string | null }): Promise<ModelPage>;
}

/** Questions to the Jupyter server that this page came from. */
export class LibraryRequests implements ILibraryRequests {
  constructor(private readonly settings: ServerConnection.ISettings) {}

  status(): Promise<ServerStatus> {
    return this.get('status', {}, decodeStatus);
  }

  models(options: {
    limit: number;
    cursor: string | null;
  }): Promise<ModelPage> {
    const query: Record<string, string> = { limit: String(options.limit) };
    if (options.cursor !== null) {
      query.cursor = options.cursor;
    }
    return this.get('models', query, decodeModelPage);
  }

  private async get<T>(
    path: string,
    query: Record<string, string>,
    decode: Decoder<T>
  ): Promise<T> {
    const url =
      URLExt.join(this.settings.baseUrl, API_PATH, path) +
      URLExt.objectToQueryString(query);
    let response: Response;
    let body: string;
    try {
      response = await ServerConnection.makeRequest(url, INIT, this.settings);
      body = await response.text();
    } catch (error) {
      if (error instanceof ServerConnection.NetworkError) {
        throw new RequestFailed({ kind: 'unreachable' });
      }
      // The connection broke off inside the body.
      if (error instanceof TypeError) {
        throw new RequestFailed({ kind: 'unreachable' });
      }
      throw error;
    }
    if (!response.ok) {
      throw new RequestFailed(failureOf(response.status, body));
    }
    return readAnswer(body, decode);
  }
}

/**
 * Say what an answer with a status of 400 or more means.
 *
 * A 404 without an error of ours comes from Jupyter itself: no handler stands
 * at that address.
 */
export function failureOf(status: number, body: string): Failure {
  if (status === 401 || status === 403) {
    return { kind: 'refused' };
  }
  try {
    const error = decodeError(JSON.parse(body), '');
    return {
      kind: 'failed',
      message: error.message,
      requestId: error.request_id ?? null
    };
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof DecodingError)) {
      throw error;
    }
  }
  if (status === 404) {
    return { kind: 'absent' };
  }
  // A proxy in front of a Jupyter server that is down answers for it.
  if (status === 502 || status === 503 || status === 504) {
    return { kind: 'unreachable' };
  }
  return { kind: 'failed', message: `HTTP status ${status}`, requestId: null };
}

function readAnswer<T>(body: string, decode: Decoder<T>): T {
  try {
    return decode(JSON.parse(body), '');
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof DecodingError) {
      throw new RequestFailed({
        kind: 'failed',
        message: error.message,
        requestId: null
      });
    }
    throw error;
  }
}
