//go:build cgo

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// request sends one without a body. Whoever calls it closes the response's body.
func request(ctx context.Context, method, address string, query url.Values) (
	*http.Response, error,
) {
	r, err := http.NewRequestWithContext(ctx, method, address+"?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	return http.DefaultClient.Do(r)
}

// sentenceBytesMax bounds what is read of an error, in bytes.
const sentenceBytesMax = 4 << 10

// sentence is the error that a node answered with.
func sentence(response *http.Response) error {
	text, err := io.ReadAll(io.LimitReader(response.Body, sentenceBytesMax))
	if err != nil {
		return fmt.Errorf("%s: %w", response.Status, err)
	}
	return errors.New(strings.TrimSpace(string(text)))
}

// call gives a node an order, and reads its answer into result.
func call(ctx context.Context, method, address string, query url.Values, result any) error {
	response, err := request(ctx, method, address, query)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return sentence(response)
	}
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, result)
}
